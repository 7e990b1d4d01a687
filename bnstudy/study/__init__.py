"""What a study is made of: records in a store, the runs an experiment needs, and how they are run."""

from bnstudy.spec import RunSpec, SpecError
from bnstudy.study.decay import DecayStudy
from bnstudy.study.experiment import NotRecordedError, StudyError, load, run_study
from bnstudy.study.frames import Frames
from bnstudy.study.store import RecordError, Store

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
