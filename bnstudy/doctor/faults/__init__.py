"""Faults of batch norm, injected and named, and healthy models: what the error rates are measured on.

::

    from bnstudy.doctor import faults

    lab = faults.Lab(faults.Data.of(bnstudy.load_dataset("digits"), side=8, images=1000), "residual", seed=0)
    outcome, case = faults.try_fault(lab, "digits", faults.FAULTS[0], severity=1.0)
"""

from bnstudy.doctor.faults.at_rest import AT_REST
from bnstudy.doctor.faults.between import BETWEEN
from bnstudy.doctor.faults.fault import Fault, Healthy
from bnstudy.doctor.faults.healthy import HEALTHY
from bnstudy.doctor.faults.in_training import IN_TRAINING
from bnstudy.doctor.faults.lab import Case, Data, Lab
from bnstudy.doctor.faults.models import DEVELOPED_ON, JUDGED_ON, MODELS
from bnstudy.doctor.faults.trial import Outcome, try_fault, try_healthy
from bnstudy.doctor.faults.with_data import WITH_DATA

FAULTS: list[Fault] = [*AT_REST, *IN_TRAINING, *WITH_DATA, *BETWEEN]

__all__ = [
    "DEVELOPED_ON",
    "FAULTS",
    "HEALTHY",
    "JUDGED_ON",
    "MODELS",
    "Case",
    "Data",
    "Fault",
    "Healthy",
    "Lab",
    "Outcome",
    "try_fault",
    "try_healthy",
]
