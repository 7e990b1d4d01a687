"""The blocks of the second round: which trainings are compared, and with which seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Seeds that decide, and seeds that choices are made with. Seeds 0 to 4, the first round's, are exploratory.
CONFIRMATORY = range(100, 200)
TUNING = range(200, 300)


@dataclass(frozen=True)
class Above:
    """A number above a bound: what a field must be whose value is chosen on validation images."""

    bound: float

    def allows(self, value: Any) -> bool:
        """Say whether ``value`` is such a number."""
        return isinstance(value, int | float) and value > self.bound


@dataclass(frozen=True)
class NotEmpty:
    """A list with something in it."""

    def allows(self, value: Any) -> bool:
        """Say whether ``value`` is such a list."""
        return bool(value)


@dataclass(frozen=True)
class Block:
    """Arms that are compared seed by seed.

    * ``seeds``: how many, from 100 on. A block may be topped up once, from the spread of its seeds alone,
      to at most ``at_most`` (see ``TOPPED_UP``).
    * ``common``: what tells the block's runs from those of other blocks: fields of their spec.
    * ``arms``: by name, the fields that tell an arm from the block's others. What isn't named here
      (learning rates, chosen on validation images; what is evaluated when) is the study's to set.
    """

    name: str
    seeds: int
    common: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]]
    at_most: int = field(default=32)

    def has(self, arm: str, spec: Any) -> bool:
        """Say whether ``spec`` is a run of ``arm``, whatever its seed."""
        wanted = {**self.common, **self.arms[arm]}
        return all(_is(getattr(spec, name, None), value) for name, value in wanted.items())

    def arms_of(self, spec: Any) -> list[str]:
        """Return the arms that ``spec`` is a run of: none or one."""
        return [arm for arm in self.arms if self.has(arm, spec)]

    def judged_seeds(self) -> range:
        """Return the seeds that are judged: the planned number, or the committed larger one."""
        count = TOPPED_UP.get(self.name, self.seeds)
        if not self.seeds <= count <= self.at_most:
            raise ValueError(
                f"TOPPED_UP[{self.name!r}] is {count}; allowed: {self.seeds} (as planned) to {self.at_most}"
            )
        return range(CONFIRMATORY.start, CONFIRMATORY.start + count)


# The larger number of seeds of a block that was topped up. It is committed before the added seeds are
# trained, decided by `bnstudy.analysis.judged.topping_up.seeds_for`, which sees no mean.
TOPPED_UP: dict[str, int] = {"core": 32, "knobs": 32, "shift": 30, "regularisation": 21}


def _is(value: Any, wanted: Any) -> bool:
    return wanted.allows(value) if isinstance(wanted, Above | NotEmpty) else bool(value == wanted)


Fields = Mapping[str, Any]

_NORMS: Mapping[str, Fields] = {"none": {"norm": "none"}, "batch": {"norm": "batch"}}

# When the core block is looked at, in epochs: 16 checkpoints of the constant phase; those at which a large
# decay
# lags; the end of training; and its last 16 steps, over which the weights hardly move any more (the learning
# rate is within a hundredth of its start), so that they are 16 training batches met by the final weights.
STEPS_PER_EPOCH = 391
CONSTANT_PHASE = tuple(14.25 + k / 4 for k in range(16))
LAGGING = (3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
END = (22.0,)
LAST_STEPS = tuple(22 - k / STEPS_PER_EPOCH for k in reversed(range(16)))

# The article's network and its training, but for what an arm changes.
_ARTICLE: Fields = {
    "kind": "train",
    "network": "article",
    "dataset": "cifar10",
    "batch_size": 128,
    "initialisation": "article",
    "norm_last": True,
    "renorm": False,
    "relu_on_logits": True,
    "conv_bias": True,
    "in_turn": False,
}

CORE = Block(
    "core",
    16,
    {
        **_ARTICLE,
        "train_size": None,
        "held_out": 0,
        "optimizer": "adam",
        "schedule": "constant_then_annealed",
        "epochs": 22,
        "annealed_epochs": 4,
        "probes": (),
    },
    _NORMS,
)

_EXTRAS: Mapping[str, Fields] = {
    "plain": {"weight_decay": 0.0, "dropout": 0.0},
    "L2": {"weight_decay": Above(0.0), "dropout": 0.0},
    "dropout": {"weight_decay": 0.0, "dropout": Above(0.0)},
}

REGULARISATION = Block(
    "regularisation",
    16,
    {
        **_ARTICLE,
        "train_size": 5000,
        "held_out": 5000,
        "optimizer": "adam",
        "schedule": "constant_then_annealed",
        "epochs": 60,
        "annealed_epochs": 15,
    },
    {
        f"{norm} {extra}": {"norm": norm, **fields}
        for norm in ("none", "batch")
        for extra, fields in _EXTRAS.items()
    },
)

KNOBS = Block(
    "knobs",
    24,
    {
        **_ARTICLE,
        "train_size": None,
        "held_out": 0,
        "optimizer": "adam",
        "schedule": "annealed",
        "epochs": 5,
        "norm": "batch",
        "probes": (),
    },
    {
        "base": {"epsilon": 1e-3, "scale": False},
        "gamma hidden": {"epsilon": 1e-3, "scale": True, "scale_last": False},
        "gamma everywhere": {"epsilon": 1e-3, "scale": True, "scale_last": True},
        "epsilon 1e-5": {"epsilon": 1e-5, "scale": False},
        "epsilon 1e-1": {"epsilon": 1e-1, "scale": False},
        "epsilon 1e-11": {"epsilon": 1e-11, "scale": False},
    },
)

# The optimisers, each at a published rate: Adam at the article's, SGD at that of Santurkar et al. 2018.
TRAININGS: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.0},
    "adam": {"optimizer": "adam", "learning_rate": 0.001},
}

_NOISES: Mapping[str, Fields] = {
    f"{noise} {dose}": {"norm": "noisy", "noise_frozen": noise == "frozen", "noise_dose": dose}
    for noise in ("fresh", "frozen")
    for dose in (1, 4, 16)
}

SHIFT = Block(
    "shift",
    12,
    {**_ARTICLE, "schedule": "constant", "precision": "float32", "probes": NotEmpty()},
    {
        f"{arm}, {training}": {**fields, **how}
        for training, how in TRAININGS.items()
        for arm, fields in {**_NORMS, **_NOISES}.items()
    },
)

# One layer a step, in turn: no layer's update meets that of an earlier one. The rate is the smallest of the
# first round's grid at which all layers at once diverged with every seed. Such a training is over within
# steps, and 12 yes or no of 12 could not tell a half from all at the family's level.
IN_TURN = Block(
    "in turn",
    16,
    {**_ARTICLE, "norm": "none", "optimizer": "sgd", "momentum": 0.0, "learning_rate": 1.0},
    {"at once": {"in_turn": False}, "in turn": {"in_turn": True}},
)

# Every seed is a process of its own, on an idle machine.
COST = Block("cost", 12, {"kind": "step_cost"}, {"all": {}})

BLOCKS = {block.name: block for block in (CORE, REGULARISATION, KNOBS, SHIFT, IN_TURN, COST)}
