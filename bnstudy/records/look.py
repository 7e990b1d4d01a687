"""When a network in training is looked at, and with which statistics: one entry of a run's specification."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_serializer,
    model_validator,
)

from bnstudy.records.values import Decays, Sizes, Statistics, ZeroDebias, read_list

LookedAt = Literal["test", "train", "validation"]
After = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]

_List = (BeforeValidator(read_list), Field(min_length=1))


class Look(BaseModel):
    """Chosen steps of a run at which its network is evaluated, and how.

    * ``epochs``: looks after so many epochs; a fraction of an epoch is rounded to a step. Gives rows of the
      table ``checkpoints``.
    * ``ratio``: looks, instead, at steps in this geometric ratio from the first on, the same ones in every
      run of so many steps. Gives rows of the table ``arrivals``.
    * ``splits``: the images: ``"test"``, ``"train"`` (the first 10,000 that the run trains on) or
      ``"validation"`` (those that it holds out).
    * ``images``: the first so many of a fixed order of the split in which every stretch has the classes in
      equal shares; None: all. Not for ``"train"``.
    * ``statistics``: see ``bnstudy.train.evaluate``; a network without batch norm has one row, ``"none"``.
    * ``decays``, ``zero_debias``: of the moving averages (``"moving"``); ``decays`` also of ``"frozen"``.
    * ``precise_images``: training images behind the precise statistics; None: all.
    * ``test_batches``: sizes of test batches in which the network meets the test images with its own moments,
      see ``bnstudy.train.test_batches``, and leaks into the averages of the run's first decay. Gives rows of
      the table ``test_batches``.
    * ``hits``: also record which images were classified right, a bit an image (the table ``hits``).
    * ``calibrate``: also record the loss on each split with the temperature that is best on the images held
      out (the table ``calibration``); for a look with one choice of statistics.
    * ``snapshot``: also record the weights, and moving averages of decays from which that of every decay
      follows (the table ``snapshots``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    epochs: tuple[After, ...] = ()
    ratio: float | None = Field(default=None, gt=1.0, allow_inf_nan=False)
    splits: Annotated[tuple[LookedAt, ...], *_List] = ("test",)
    images: int | None = Field(default=None, ge=1)
    statistics: Annotated[tuple[Statistics, ...], *_List] = ("moving",)
    decays: Decays = (0.9,)
    zero_debias: Annotated[tuple[ZeroDebias, ...], *_List] = ("none",)
    precise_images: int | None = Field(default=None, ge=2)
    test_batches: Sizes = ()
    hits: bool = False
    calibrate: bool = False
    snapshot: bool = False

    @model_validator(mode="after")
    def _steps_are_chosen(self) -> Look:
        if bool(self.epochs) == (self.ratio is not None):
            raise ValueError(
                f"a look has epochs {list(self.epochs)} and ratio {self.ratio!r}; allowed: one of the two"
            )
        if self.images is not None and "train" in self.splits:
            raise ValueError(f"a look has images {self.images} of the split 'train'; allowed: None")
        if self.ratio is not None and (self.test_batches or self.hits or self.calibrate or self.snapshot):
            raise ValueError(
                "a look at a geometric ratio of steps has test_batches, hits, calibrate or snapshot; "
                "allowed: none"
            )
        one = len(self.statistics) == len(self.decays) == len(self.zero_debias) == 1
        if self.calibrate and not (one and "validation" in self.splits):
            raise ValueError(
                "a look has calibrate with several statistics, or without the split 'validation'; "
                "allowed: one choice, and 'validation' among the splits"
            )
        return self

    @field_validator("epochs", "splits", "statistics", "decays", "zero_debias", "test_batches")
    @classmethod
    def _once_each(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        # Order and repetition don't change what is measured, so they must not change a run's name.
        return tuple(sorted(set(values)))

    @model_serializer(mode="wrap")
    def _without_defaults(self, serialize: Any) -> dict[str, Any]:
        # What came later and is at its default must not rename the runs that came before.
        fields = type(self).model_fields
        return {
            name: value
            for name, value in serialize(self).items()
            if getattr(self, name) != fields[name].default
        }

    def steps(self, total: int, epochs: int) -> list[int]:
        """Return the steps of a run of ``total`` steps in ``epochs`` epochs after which it is looked at."""
        if self.ratio is None:
            return sorted({max(1, round(after * total / epochs)) for after in self.epochs})
        count = math.floor(math.log(total) / math.log(self.ratio) + 1e-9) + 1
        return sorted({round(self.ratio**k) for k in range(count)})
