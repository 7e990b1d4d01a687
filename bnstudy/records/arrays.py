"""The arrays that a record holds beside its tables: their types, axes and meaning, and their form as NPY.

For what would be too large as rows, such as a bit for every test image at every evaluation. The files are
NumPy's own, without pickles: ``numpy.load(file, allow_pickle=False)`` reads them. Where a name ends in .gz,
``file`` is ``gzip.open(name)``.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ArrayKind:
    """An array: its type in NumPy's words, what runs along each of its axes, its unit, and its meaning.

    ``gzipped``: whether records keep it compressed. Bits of images lose a third by it; weights and moving
    averages, whose last digits are noise, a twentieth.
    """

    dtype: str
    axes: tuple[str, ...]
    unit: str
    meaning: str
    gzipped: bool = False


ARRAYS: dict[str, ArrayKind] = {
    "hits": ArrayKind(
        "uint8",
        ("evaluation, as in the table hits_index", "eight images, the first in the highest bit"),
        "1",
        "whether an image's largest logit is its class's, a bit each (numpy.packbits), padded with zeros",
        gzipped=True,
    ),
    "snapshot_parameters": ArrayKind(
        "float32",
        ("snapshot, as in the table snapshots", "value, parameter after parameter in the network's order"),
        "1",
        "the network's weights",
    ),
    "snapshot_averages": ArrayKind(
        "float32",
        (
            "snapshot, as in the table snapshots",
            "decay, as bnstudy.records.nodes.node_decays gives them",
            "means, then variances",
            "channel, layer after layer",
        ),
        "by layer: the activation's, squared for variances",
        "moving averages from which those of every decay from 0 to 0.9999 follow by interpolation",
    ),
}


def to_npy(name: str, values: NDArray[Any]) -> bytes:
    """Return an array as an NPY file, in C order and little-endian.

    Raises:
        ValueError: the array is unknown, or its type or number of axes isn't what it must be.
    """
    import numpy as np

    if name not in ARRAYS:
        raise ValueError(f"array is {name!r}; allowed: {', '.join(ARRAYS)}")
    kind = ARRAYS[name]
    if values.dtype != np.dtype(kind.dtype) or values.ndim != len(kind.axes):
        raise ValueError(
            f"array {name!r} has the type {values.dtype} and the shape {values.shape}; "
            f"allowed: {kind.dtype}, with {len(kind.axes)} axes ({'; '.join(kind.axes)})"
        )
    out = io.BytesIO()
    stored = np.ascontiguousarray(values, np.dtype(kind.dtype).newbyteorder("<"))
    np.lib.format.write_array(out, stored, version=(1, 0), allow_pickle=False)
    return out.getvalue()


def from_npy(name: str, content: bytes) -> NDArray[Any]:
    """Return the array of an NPY file, read-only.

    Raises:
        ValueError: it is none, or of another type or number of axes than ``name`` must have.
    """
    import numpy as np

    values: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    kind = ARRAYS[name]
    if values.dtype != np.dtype(kind.dtype).newbyteorder("<") or values.ndim != len(kind.axes):
        raise ValueError(f"array {name!r} has the type {values.dtype} and the shape {values.shape}")
    values.flags.writeable = False
    return values
