"""What a run is: one frozen, validated description, whose hash is the run's name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Set
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from bnstudy.records.look import Look
from bnstudy.records.values import (
    DatasetName,
    Decay,
    Decays,
    Norm,
    Penalty,
    Positive,
    Precision,
    Probe,
    Rate,
    RunSchedule,
    Schedule,
    Share,
    Sizes,
    Statistics,
    Updates,
    ZeroDebias,
    read_list,
)

__all__ = [
    "FLEET_FIELDS", "Checked", "DatasetName", "Decay", "Decays", "Look", "Norm", "Penalty", "Positive",
    "Precision", "Probe", "Rate", "RunSpec", "Schedule", "Share", "Sizes", "Spec", "SpecError", "Statistics",
    "Updates", "ZeroDebias", "read_list", "validate",
]  # fmt: skip

Model = TypeVar("Model", bound=BaseModel)


class SpecError(ValueError):
    """A parameter is unknown or out of range; the message names it, its value and what is allowed."""


# Runs that differ in these fields alone can train side by side, as one fleet.
FLEET_FIELDS = frozenset({"learning_rate", "schedule", "seed", "weight_decay"})

# The fields of the first records. A field that came later and is at its default stays out of the
# canonical JSON, so that those records keep their names.
_FIRST_FIELDS = frozenset(
    {
        "batch_size", "conv_bias", "dataset", "decays", "epochs", "evaluations", "initialisation", "kind",
        "learning_rate", "norm", "optimizer", "precision", "relu_on_logits", "schedule", "seed",
        "zero_debias",
    }
)  # fmt: skip

# Each option that has an effect beside another setting alone, and that setting.
_NEEDS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("momentum", "optimizer", ("sgd",)),
    ("dropout_place", "dropout", ()),
    ("epsilon", "norm", ("batch", "noisy")),
    ("scale", "norm", ("batch", "noisy")),
    ("scale_last", "scale", (True,)),
    ("noise_frozen", "norm", ("noisy",)),
    ("noise_dose", "norm", ("noisy",)),
    ("norm_last", "norm", ("batch", "noisy")),
    ("renorm", "norm", ("batch", "noisy")),
    ("renorm_rmax", "renorm", (True,)),
    ("renorm_dmax", "renorm", (True,)),
    ("renorm_decay", "renorm", (True,)),
    ("updates", "norm", ("batch", "noisy")),
    ("updates", "renorm", (False,)),
    ("test_batches", "norm", ("batch", "noisy")),
    ("test_batches", "updates", ("bank",)),
    ("padding", "norm", ("batch", "noisy")),
    ("batch_weights", "padding", ()),
    ("probed_steps", "probes", ()),
    ("probed_images", "probes", ()),
    ("redrawn", "probes", ()),
    ("annealed_epochs", "schedule", ("constant_then_annealed",)),
    ("in_turn", "optimizer", ("sgd",)),
    ("in_turn", "momentum", (0.0,)),
)


# Options that the article's network alone has.
_ARTICLE = (
    "relu_on_logits", "conv_bias", "initialisation", "scale_last", "norm_last", "renorm", "dropout",
    "test_batches", "padding", "batch_weights",
)  # fmt: skip


class Checked(BaseModel):
    """A frozen model that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Spec(Checked):
    """A run of any kind: its canonical JSON says all that decides it, and gives it its name."""

    kind: str
    seed: int = Field(default=0, ge=0, lt=2**31)

    @property
    def run_id(self) -> str:
        """The SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    @property
    def name(self) -> str:
        """The first 16 hexadecimal digits of the run's id: what its record is called."""
        return self.run_id[:16]

    def canonical(self) -> str:
        """Return the canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


class RunSpec(Spec):
    """One training run of the article's network, and what is measured along it.

    Where a run trains (device, threads) is provenance and not part of what it is.

    * ``train_size``: train on the first so many images of a seeded order in which every stretch
      has the classes in equal shares; None means all, and a larger set has the smaller one in it.
    * ``held_out``: so many training images, the same ones in every run and the classes in equal shares, are
      kept out of training; they are the split ``"validation"`` of the looks. ``train_size`` counts the rest.
    * ``schedule``: the learning rate is constant, falls to zero on a line (``"annealed"``), or does so
      over the last ``annealed_epochs`` epochs (``"constant_then_annealed"``).
    * ``network``: ``"article"``, ``"resnet8"``, or a user's: a name that ``bnstudy.networks.register`` knows,
      or ``"package.module:function"``. Options of the article's network alone must be at their defaults.
    * ``norm``: ``"noisy"`` puts noise behind every batch normalization (Santurkar et al. 2018); ``"group"``
      is group normalization (Wu & He 2018) with as many groups, at most 8, as divide the channels.
    * ``initialisation``: ``"he"``: weights from a normal of variance 2 / fan-in (He et al. 2015), biases 0.
    * ``in_turn``: each step updates one convolution's block alone, in turn, so that no layer's update meets
      that of an earlier one.
    * ``scale``: whether the layers have a gamma; ``scale_last``: also the one that gives the logits.
    * ``noise_dose``: multiplies what the noise adds to and takes from a value; ``noise_frozen``: it is the
      same at all steps (of one batch size), so that it shifts no distribution.
    * ``norm_last``: whether the layer that gives the logits is normalised too.
    * ``renorm_rmax``, ``renorm_dmax``: bounds of batch renormalization's corrections
      (1/rmax <= r <= rmax, abs(d) <= dmax; None: no bound), the same at every step.
    * ``optimizer``: ``"adam"`` adds its epsilon after the bias correction, as PyTorch does; TensorFlow, and
      ``bnstudy.tf1``, add it before (Kingma & Ba 2015, the remark before section 2.1).
    * ``weight_decay``: the L2 penalty's gradient is this times each convolution's weights.
    * ``dropout``: the share of values dropped in the four hidden layers, ``"before_norm"`` (behind
      the convolution) or ``"after_norm"`` (behind ReLU and pooling).
    * ``statistics``: which normalisation statistics the network is evaluated with; see
      ``bnstudy.train.evaluate``. ``"moving"`` alone costs no pass over the training images.
    * ``probes``: what ``bnstudy.probes`` measures beside, at ``probed_steps`` log-spaced steps; each
      gives a table of its name.
    * ``probed_images``: above 0, ``"gaussianity"`` looks at the first so many of a fixed, class-balanced
      order of the training images instead of the step's batch, and gives Kolmogorov's distance too.
    * ``redrawn``: ``"internal_covariate_shift"`` is also measured with the noise of the next forward pass.
    * ``updates``: who keeps the moving averages: a bank beside the layers, or the layers themselves, and
      then when (``bnstudy.BatchNorm``). Then the weights' digests are recorded too.
    * ``spacing``: whether the ``evaluations`` steps are evenly spaced on a log or a linear axis.
    * ``test_batches``: sizes of test batches in which the trained network meets the test images with its
      own moments and with its averages; see ``bnstudy.train.flag``.
    * ``padding``: blank images added to each training batch, whose loss does not count; with
      ``batch_weights`` they have no weight in the batch moments either.
    * ``evaluations``: 0: only the ``looks`` evaluate.
    * ``logged_every``: the table ``training`` has the first 50 steps, and then every so many-th.
    * ``looks``: at which steps the network is evaluated besides, and how; see ``Look``.
    * ``precise_images``: training images behind the precise (and at most so many behind the frozen)
      statistics; None means all of them.
    """

    kind: Literal["train"] = "train"
    dataset: DatasetName = "cifar10"
    train_size: int | None = Field(default=None, ge=2, description="an integer of at least 2, or None")
    held_out: int = Field(default=0, ge=0, description="an integer of at least 0")
    network: str = Field(default="article", pattern=r"^[\w.]+(:\w+)?$")
    norm: Norm = "batch"
    epsilon: Rate = 1e-3
    scale: bool = False
    scale_last: bool = True
    norm_last: bool = True
    noise_frozen: bool = False
    noise_dose: Rate = 1.0
    renorm: bool = False
    renorm_rmax: float | None = Field(
        default=None, ge=1.0, allow_inf_nan=False, description="a finite number of at least 1, or None"
    )
    renorm_dmax: float | None = Field(
        default=None, ge=0.0, allow_inf_nan=False, description="a finite number of at least 0, or None"
    )
    renorm_decay: Decay = 0.99
    relu_on_logits: bool = True
    conv_bias: bool = True
    initialisation: Literal["article", "default", "he"] = "article"
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: Share = 0.0
    weight_decay: Penalty = 0.0
    dropout: Share = 0.0
    dropout_place: Literal["before_norm", "after_norm"] = "after_norm"
    learning_rate: Rate = 1e-3
    schedule: RunSchedule = "constant"
    annealed_epochs: int = Field(default=0, ge=0, description="an integer of at least 0")
    batch_size: int = Field(default=128, ge=2)
    epochs: Positive = 5
    precision: Precision = "bfloat16"
    decays: Decays = (0.9,)
    zero_debias: Annotated[tuple[ZeroDebias, ...], BeforeValidator(read_list)] = ("none", "both")
    evaluations: int = Field(default=8, ge=0, le=1000)
    statistics: Annotated[tuple[Statistics, ...], BeforeValidator(read_list), Field(min_length=1)] = (
        "batch",
        "frozen",
        "moving",
        "precise",
    )
    probes: Annotated[tuple[Probe, ...], BeforeValidator(read_list)] = ()
    probed_steps: int = Field(default=12, ge=1, le=1000)
    probed_images: int = Field(default=0, ge=0, description="an integer of at least 0")
    redrawn: bool = False
    precise_images: int | None = Field(default=None, ge=2, description="an integer of at least 2, or None")
    updates: Updates = "bank"
    spacing: Literal["log", "linear"] = "log"
    test_batches: Sizes = ()
    padding: int = Field(default=0, ge=0, description="an integer of at least 0")
    batch_weights: bool = False
    in_turn: bool = False
    logged_every: int = Field(default=1, ge=1)
    looks: tuple[Look, ...] = ()

    @field_validator("decays", "zero_debias", "statistics", "probes", "test_batches")
    @classmethod
    def _once_each(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        # Order and repetition don't change what is measured, so they must not change the name.
        return tuple(sorted(set(values)))

    @model_validator(mode="after")
    def _no_idle_option(self) -> RunSpec:
        # An option without effect would give one run two names.
        for name, other, allowed in _NEEDS:
            value, default, setting = (
                getattr(self, name),
                type(self).model_fields[name].default,
                getattr(self, other),
            )
            if value != default and (setting not in allowed if allowed else not setting):
                needed = " or ".join(f"{other}={a!r}" for a in allowed) if allowed else f"{other} above 0"
                raise ValueError(f"{name} is {value!r}; allowed: {default!r}, or {needed} with it")
        if self.precise_images is not None and not {"precise", "frozen"} & set(self.statistics):
            raise ValueError(
                f"precise_images is {self.precise_images!r}; allowed: None, or 'precise' or 'frozen' "
                "among the statistics"
            )
        return self

    @model_validator(mode="after")
    def _options_of_the_article(self) -> RunSpec:
        if self.network == "article":
            return self
        for name in _ARTICLE:
            default = type(self).model_fields[name].default
            if getattr(self, name) != default:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; allowed with network {self.network!r}: {default!r}"
                )
        if self.norm not in ("batch", "none") or any(look.test_batches for look in self.looks):
            raise ValueError(
                f"norm is {self.norm!r}, or a look has test_batches; allowed with network {self.network!r}: "
                "'batch' or 'none', and no test_batches"
            )
        return self

    @model_validator(mode="after")
    def _looks_fit(self) -> RunSpec:
        if not self.evaluations and not self.looks:
            raise ValueError("evaluations is 0 without looks; allowed: at least 1, or looks")
        if self.schedule == "constant_then_annealed" and not 0 < self.annealed_epochs <= self.epochs:
            raise ValueError(
                f"annealed_epochs is {self.annealed_epochs}; allowed: 1 to {self.epochs}, the run's epochs"
            )
        for look in self.looks:
            late = [after for after in look.epochs if after > self.epochs]
            if late:
                raise ValueError(f"a look is after {late} epochs; allowed: at most {self.epochs}, the run's")
            if "validation" in look.splits and not self.held_out:
                raise ValueError("a look is on 'validation' with held_out 0; allowed: held_out above 0")
        if self.looks and (self.updates != "bank" or self.renorm):
            raise ValueError(
                f"looks are given with updates {self.updates!r}, renorm {self.renorm}; allowed: 'bank', False"
            )
        return self

    @model_validator(mode="after")
    def _one_average(self) -> RunSpec:
        for name in ("updates", "test_batches"):
            idle = getattr(self, name) == type(self).model_fields[name].default
            if not idle and (len(self.decays) > 1 or "none" not in self.zero_debias):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r} with decays {list(self.decays)} and zero_debias "
                    f"{list(self.zero_debias)}; allowed: one decay, and 'none' among zero_debias"
                )
        if self.updates != "bank" and self.zero_debias != ("none",):
            raise ValueError(
                f"updates is {self.updates!r} with zero_debias {list(self.zero_debias)}; allowed: ['none']"
            )
        return self

    def canonical(self) -> str:
        """Return the canonical JSON: sorted keys, no spaces, no later field that is at its default."""
        return self._canonical_without(frozenset())

    def trajectory(self) -> str:
        """Return the canonical JSON of what decides the weights, and what is measured at which steps.

        Decay and zero-debias never enter training, so runs that differ in them alone
        walk the same trajectory, and their records complete each other.
        """
        return self._canonical_without({"decays", "zero_debias"})

    def fleet(self) -> str:
        """Return the canonical JSON of what the members of one fleet have in common."""
        return self._canonical_without(FLEET_FIELDS)

    def alone(self) -> bool:
        """Say whether what is measured looks at one network, so that the run can't be one of a fleet."""
        return bool(self.probes or self.test_batches)

    def _canonical_without(self, names: Set[str]) -> str:
        idle = {
            name
            for name, field in type(self).model_fields.items()
            if name not in _FIRST_FIELDS and getattr(self, name) == field.default
        }
        fields = self.model_dump(mode="json", exclude=idle | names)
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
