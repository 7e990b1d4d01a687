"""The kinds of values that a specification's fields have, each with what is allowed of it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field


def read_list(value: Any) -> Any:
    """Read ``"[0.9, 0.97]"`` as a list: ``papermill -p`` and shells pass lists as strings."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value.replace("'", '"'))
        except json.JSONDecodeError:
            return value
    return [value] if isinstance(value, int | float | str) else value


Decay = Annotated[float, Field(ge=0.0, lt=1.0, allow_inf_nan=False, description="a number from 0 to below 1")]
Decays = Annotated[
    tuple[Decay, ...],
    BeforeValidator(read_list),
    Field(min_length=1, description="a list of numbers, each from 0 to below 1"),
]
DatasetName = Literal["cifar10", "digits"]
Norm = Literal["batch", "none", "noisy", "group"]
Updates = Literal["bank", "in_place", "with_step", "after_step", "never"]
Schedule = Literal["constant", "annealed"]
RunSchedule = Literal["constant", "annealed", "constant_then_annealed"]
Precision = Literal["float32", "bfloat16", "float64"]
ZeroDebias = Literal["none", "mean", "both"]
Statistics = Literal["batch", "frozen", "moving", "precise"]
Probe = Literal[
    "activation_drift",
    "gaussianity",
    "gradient_health",
    "gradient_predictiveness",
    "internal_covariate_shift",
]
# More than any run can use, so that what is typed by mistake is refused before it starts.
MOST: Final = 1_000_000
Positive = Annotated[int, Field(ge=1, le=MOST)]
Rate = Annotated[float, Field(gt=0.0, allow_inf_nan=False, description="a finite number above 0")]
Penalty = Annotated[float, Field(ge=0.0, allow_inf_nan=False, description="a finite number of at least 0")]
Share = Annotated[float, Field(ge=0.0, lt=1.0, description="a number from 0 to below 1")]

Sizes = Annotated[
    tuple[Positive, ...],
    BeforeValidator(read_list),
    Field(description="a list of integers of at least 1, each once"),
]
