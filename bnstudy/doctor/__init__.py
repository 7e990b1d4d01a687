"""Why is my model worse in eval()? What is wrong with a model's batch norm, and what to do.

Without data, on a model, a state_dict or a checkpoint file; on two of them; around training; with data::

    print(doctor.scan(model))
    print(doctor.compare(a, b))
    with doctor.watch(model, optimizer) as seen:
        train()
    print(seen.report())
    print(doctor.diagnose(model, train_batches, eval_batches))

Nothing is changed by any of it, which is checked each time.
"""

from bnstudy.doctor.checkpoint import CheckpointError
from bnstudy.doctor.comparing import compare
from bnstudy.doctor.diagnosing import diagnose
from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.registry import codes
from bnstudy.doctor.report import Report
from bnstudy.doctor.scanning import scan
from bnstudy.doctor.untouched import DoctorError
from bnstudy.doctor.watching import watch
from bnstudy.norm import recalibrate

__all__ = [
    "Check",
    "CheckpointError",
    "DoctorError",
    "Finding",
    "Report",
    "codes",
    "compare",
    "diagnose",
    "recalibrate",
    "scan",
    "watch",
]
