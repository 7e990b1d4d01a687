"""What a study is made of: records in a store, the runs an experiment needs, and how they are run."""

from bnstudy.spec import RunSpec, SpecError
from bnstudy.study.decay import DecayStudy
from bnstudy.study.experiment import load, run_study
from bnstudy.study.store import RecordError, Store

__all__ = ["DecayStudy", "RecordError", "RunSpec", "SpecError", "Store", "load", "run_study"]
