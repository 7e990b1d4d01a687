"""``import tensorflow`` finds this package: for programs of TensorFlow 1's time, unchanged."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_HERE = __name__.rpartition(".")[0]

# What programs import, and where it is here. Where TensorFlow had a module of more than is covered, a name
# stands
# for what it gives.
MODULES: dict[str, str] = {
    "tensorflow": "",
    "tensorflow.compat": "",
    "tensorflow.compat.v1": "",
    "tensorflow.contrib": "contrib",
    "tensorflow.contrib.framework": "contrib.framework",
    "tensorflow.contrib.framework.python": "contrib.framework",
    "tensorflow.contrib.framework.python.ops": "contrib.framework",
    "tensorflow.contrib.layers": "contrib.layers",
    "tensorflow.contrib.layers.python": "contrib.layers.python",
    "tensorflow.contrib.layers.python.layers": "contrib.layers.python.layers",
    "tensorflow.contrib.slim": "contrib.slim",
    "tensorflow.python": "",
    "tensorflow.python.framework": "",
    "tensorflow.python.framework.ops": "",
    "tensorflow.python.ops": "",
    "tensorflow.python.ops.array_ops": "",
    "tensorflow.python.ops.control_flow_ops": "control",
    "tensorflow.python.ops.init_ops": "initializers",
    "tensorflow.python.ops.math_ops": "",
    "tensorflow.python.ops.nn": "nn",
    "tensorflow.python.ops.variable_scope": "scopes",
    "tensorflow.python.training": "train",
    "tensorflow.python.training.moving_averages": "moving_averages",
    "tf_slim": "contrib.slim",
}


class _AsTensorFlow(MetaPathFinder, Loader):
    """Finds the modules of ``MODULES``, and refuses others of TensorFlow's by name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in ("tensorflow", "tf_slim"):
            return None
        if fullname not in MODULES:
            raise ModuleNotFoundError(
                f"bnstudy.tf1 does not cover {fullname!r}; covered: {', '.join(sorted(MODULES))}",
                name=fullname,
            )
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        inner = MODULES[spec.name]
        source = importlib.import_module(f"{_HERE}.{inner}" if inner else _HERE)
        module = ModuleType(spec.name, source.__doc__)
        # A module of its own: importing it must not rename the one that it stands for.
        module.__dict__.update(
            {k: v for k, v in vars(source).items() if not k.startswith("__") or k == "__version__"}
        )
        module.__getattr__ = lambda name: getattr(source, name)  # type: ignore[method-assign]
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the names are there."""


def install() -> None:
    """Let ``import tensorflow``, its ``contrib``, ``compat.v1`` and ``tf_slim`` find this package from now
    on.

    Raises ``RuntimeError`` if TensorFlow itself has been imported.
    """
    if any(isinstance(finder, _AsTensorFlow) for finder in sys.meta_path):
        return
    if "tensorflow" in sys.modules:
        raise RuntimeError("tensorflow is imported already; call install() before")
    sys.meta_path.insert(0, _AsTensorFlow())


def remove() -> None:
    """Undo ``install``: forget the modules that it gave."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _AsTensorFlow)]
    for name in MODULES:
        sys.modules.pop(name, None)
