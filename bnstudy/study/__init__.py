"""What a study is made of: records in a store, the runs an experiment needs, and how they are run."""

from bnstudy.chapters.decay.study import DecayStudy
from bnstudy.records.spec import RunSpec, SpecError
from bnstudy.records.store import RecordError, Store
from bnstudy.study.frames import Frames
from bnstudy.study.run import NotRecordedError, StudyError, load, run_study

__all__ = [
    "DecayStudy",
    "Frames",
    "NotRecordedError",
    "RecordError",
    "RunSpec",
    "SpecError",
    "Store",
    "StudyError",
    "load",
    "run_study",
]
