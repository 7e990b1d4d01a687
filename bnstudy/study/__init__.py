"""What a study is made of: records in a store, the runs an experiment needs, and how they are run."""

from bnstudy._moved import moved_names
from bnstudy.records.spec import RunSpec, SpecError
from bnstudy.records.store import NewerError, RecordError, Store
from bnstudy.study.frames import Frames
from bnstudy.study.plan import Study
from bnstudy.study.run import NotRecordedError, StudyError, load_plan, run_plan

__all__ = [
    "Frames",
    "NewerError",
    "NotRecordedError",
    "RecordError",
    "RunSpec",
    "SpecError",
    "Store",
    "Study",
    "StudyError",
    "load_plan",
    "run_plan",
]

__getattr__ = moved_names(__name__)
