"""What a run is: one frozen, validated description, whose hash is the run's name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

Model = TypeVar("Model", bound=BaseModel)


class SpecError(ValueError):
    """A parameter is unknown or out of range; the message names it, its value and what is allowed."""


def read_list(value: Any) -> Any:
    """Read ``"[0.9, 0.97]"`` as a list: ``papermill -p`` and shells pass lists as strings."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value.replace("'", '"'))
        except json.JSONDecodeError:
            return value
    return [value] if isinstance(value, int | float | str) else value


Decay = Annotated[float, Field(ge=0.0, lt=1.0, allow_inf_nan=False)]
Decays = Annotated[
    tuple[Decay, ...],
    BeforeValidator(read_list),
    Field(min_length=1, description="a list of numbers, each from 0 to below 1"),
]
DatasetName = Literal["cifar10", "digits"]
Schedule = Literal["constant", "annealed"]
Precision = Literal["float32", "bfloat16"]
ZeroDebias = Literal["none", "mean", "both"]
Positive = Annotated[int, Field(ge=1)]


class Checked(BaseModel):
    """A frozen model that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class RunSpec(Checked):
    """One training run of the article's network, and what is measured along it.

    Where a run trains (device, threads) is provenance and not part of what it is.
    """

    kind: Literal["train"] = "train"
    dataset: DatasetName = "cifar10"
    norm: Literal["batch", "none"] = "batch"
    relu_on_logits: bool = True
    conv_bias: bool = True
    initialisation: Literal["article", "default"] = "article"
    optimizer: Literal["adam"] = "adam"
    learning_rate: float = Field(
        default=1e-3, gt=0.0, allow_inf_nan=False, description="a finite number above 0"
    )
    schedule: Schedule = "constant"
    batch_size: int = Field(default=128, ge=2)
    epochs: Positive = 5
    seed: int = Field(default=0, ge=0, lt=2**31)
    precision: Precision = "bfloat16"
    decays: Decays = (0.9,)
    zero_debias: Annotated[tuple[ZeroDebias, ...], BeforeValidator(read_list)] = ("none", "both")
    evaluations: int = Field(default=8, ge=1, le=1000)

    @field_validator("decays", "zero_debias")
    @classmethod
    def _once_each(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        # Order and repetition don't change what is measured, so they must not change the name.
        return tuple(sorted(set(values)))

    @property
    def run_id(self) -> str:
        """The SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    @property
    def name(self) -> str:
        """The first 16 hexadecimal digits of the run's id: what its record is called."""
        return self.run_id[:16]

    def canonical(self) -> str:
        """Return the canonical JSON: sorted keys, no spaces, every field."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    def trajectory(self) -> str:
        """Return the canonical JSON of what decides the weights and the steps of evaluation.

        Decay and zero-debias never enter training, so runs that differ in them alone
        walk the same trajectory, and their records complete each other.
        """
        fields = self.model_dump(mode="json", exclude={"decays", "zero_debias"})
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def validate(model: type[Model], parameters: Mapping[str, Any], also: tuple[str, ...] = ()) -> Model:
    """Build ``model`` from ``parameters``; ``also`` are names that the caller takes besides.

    Raises:
        SpecError: names each bad parameter, its value and what is allowed.
    """
    try:
        return model.model_validate(dict(parameters))
    except ValidationError as error:
        lines = [_explain(model, dict(issue), also) for issue in error.errors()]
        raise SpecError("; ".join(dict.fromkeys(lines))) from None


def _explain(model: type[BaseModel], issue: dict[str, Any], also: tuple[str, ...]) -> str:
    name = str(issue["loc"][0]) if issue["loc"] else ""
    if issue["type"] == "extra_forbidden":
        return f"unknown parameter {name!r}; allowed: {', '.join([*model.model_fields, *also])}"
    said = str(issue["msg"]).removeprefix("Value error, ").replace("Input should be ", "")
    if not name:
        return said
    # Pydantic names the one bound that was crossed; the whole range helps more.
    whole = model.model_fields[name].description
    return f"{name} is {issue['input']!r}; allowed: {whole or said}"
