"""Data sets by name, as uint8 arrays whose content is verified.

Whatever the source, the arrays are hashed before they are used, so that two people who
loaded the same name trained on the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARRAYS = ("x_train", "y_train", "x_test", "y_test")

SHA256 = {
    "cifar10": {
        "x_train": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
        "y_train": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
        "x_test": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
        "y_test": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
    },
    "digits": {
        "x_train": "b44c7c351a9951c8740f05f3814974adee51778367d9cafad19136dbc4603298",
        "y_train": "c5a5ba04f14f293a77624c91f41bdd7f73b6495ef0ed7d8cf890d5b6633908cf",
        "x_test": "bc24e5cac81c28d245bb19b3b8e30fcba944b915fae5c780527e2da9725c18bd",
        "y_test": "ac864e225e221996a9a38cd498500277d4906ed30da1f7949514933cb09738ad",
    },
}

FETCH_COMMAND = "bnstudy data fetch cifar10"


class DataError(Exception):
    """A data set is missing, truncated or not what its name says."""


@dataclass(frozen=True)
class Dataset:
    """Images uint8 [N, 32, 32, 3] (NHWC, RGB, 0 to 255) and labels uint8 [N] (0 to 9)."""

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.uint8]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.uint8]

    @property
    def sha256(self) -> dict[str, str]:
        """The SHA-256 of each array's bytes, in C order."""
        return {key: array_sha256(getattr(self, key)) for key in ARRAYS}


def dataset_names() -> tuple[str, ...]:
    """Return the names that ``load_dataset`` knows."""
    return tuple(SHA256)


def load_dataset(name: str, root: str | os.PathLike[str] | None = None) -> Dataset:
    """Load and verify a data set: ``"cifar10"`` or ``"digits"``.

    CIFAR-10 (Krizhevsky 2009, original order) is read from ``root``, else from the folder
    that the environment variable ``BNSTUDY_DATA`` names, else from the user's cache folder,
    as ``cifar10.npz``. ``digits`` is scikit-learn's embedded set (8x8 grey, 0 to 16), each
    pixel repeated to 32x32 and scaled to 0..255; every fifth image is a test image.

    Raises:
        ValueError: the name is unknown.
        DataError: a file is missing, damaged, or has other content than its name says.
    """
    if name not in SHA256:
        raise ValueError(f"dataset is {name!r}; allowed: {', '.join(map(repr, SHA256))}")
    arrays = _digits() if name == "digits" else _read_npz(data_folder(root) / f"{name}.npz")
    return verified(name, arrays, where="scikit-learn" if name == "digits" else str(data_folder(root)))


def verified(name: str, arrays: dict[str, NDArray[np.uint8]], where: str) -> Dataset:
    """Return the arrays as a ``Dataset`` once their content has the published SHA-256."""
    for key, expected in SHA256[name].items():
        found = array_sha256(arrays[key])
        if found != expected:
            raise DataError(
                f"{name}: the array {key} from {where} is not the published one (SHA-256 {found[:12]}…, "
                f"expected {expected[:12]}…)" + _remedy(name)
            )
    return Dataset(name, **arrays)


def array_sha256(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def data_folder(root: str | os.PathLike[str] | None = None) -> Path:
    """Return where data sets are looked up: ``root``, ``$BNSTUDY_DATA``, or the user's cache folder."""
    if root is not None:
        return Path(root).expanduser()
    if os.environ.get("BNSTUDY_DATA"):
        return Path(os.environ["BNSTUDY_DATA"]).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("bnstudy")) / "data"


def fetch_cifar10(root: str | os.PathLike[str] | None = None, report: Callable[[str], None] = print) -> Path:
    """Download CIFAR-10 with torchvision (its own MD5 checks), verify it, and write ``cifar10.npz``.

    Returns the file's path. An intact file already there is kept.
    """
    folder = data_folder(root)
    target = folder / "cifar10.npz"
    if target.exists():
        try:
            load_dataset("cifar10", root)
        except DataError as error:
            report(f"replacing {target}: {error}")
        else:
            report(f"{target} is there and intact")
            return target
    import tempfile

    from torchvision.datasets import CIFAR10

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        arrays: dict[str, NDArray[np.uint8]] = {}
        for split, train in (("train", True), ("test", False)):
            try:
                part = CIFAR10(scratch, train=train, download=True)
            except (OSError, RuntimeError) as error:
                raise DataError(f"cifar10: the download failed: {error}") from error
            arrays[f"x_{split}"] = np.ascontiguousarray(part.data)
            arrays[f"y_{split}"] = np.asarray(part.targets, dtype=np.uint8)
        verified("cifar10", arrays, where="the download")
        unfinished = Path(scratch) / "cifar10.npz"
        np.savez(unfinished, **arrays)  # type: ignore[arg-type]
        os.replace(unfinished, target)
    report(f"wrote {target}")
    return target


def _read_npz(path: Path) -> dict[str, NDArray[np.uint8]]:
    if not path.is_file():
        raise DataError(f"cifar10: no file {path}" + _remedy("cifar10"))
    arrays = {}
    try:
        # Never unpickle: an npz from elsewhere must not be able to run code.
        with np.load(path, allow_pickle=False) as archive:
            for key in ARRAYS:
                arrays[key] = archive[key]
    except KeyError:
        raise DataError(f"cifar10: {path} has no array {key}" + _remedy("cifar10")) from None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"cifar10: {path} is damaged or truncated ({error})" + _remedy("cifar10")) from error
    return arrays


def _remedy(name: str) -> str:
    if name != "cifar10":
        return "; the installed scikit-learn ships other digits than the study was made with"
    return f"; set BNSTUDY_DATA to the folder that holds cifar10.npz, or fetch it with: {FETCH_COMMAND}"


def _digits() -> dict[str, NDArray[np.uint8]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "digits: scikit-learn is not installed; install it with: pip install 'bnstudy[data]'"
        ) from error
    images, labels = load_digits(return_X_y=True)
    grey = np.rint(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    x = np.repeat(grey.repeat(4, axis=1).repeat(4, axis=2)[..., None], 3, axis=3)
    y = labels.astype(np.uint8)
    test = np.arange(len(x)) % 5 == 4
    return {"x_train": x[~test], "y_train": y[~test], "x_test": x[test], "y_test": y[test]}
