"""Which layers of a model are meant: by name, pattern, class or function.

::

    chosen = choose(model, layers)  # names of modules; None, the default, is all of them
    if name in chosen: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from torch import nn

# A pattern such as "layer1.*", a class of modules, a function of name and module, or several of these.
Layers = str | type[nn.Module] | Callable[[str, nn.Module], bool] | Iterable[str | type[nn.Module]]


def choose(model: nn.Module, layers: Layers | None = None) -> frozenset[str]:
    """Return the names of the modules of ``model`` that ``layers`` means.

    ``layers`` is a name as in ``named_modules()``, where ``*`` stands for anything, a class of modules, a
    function of name and module, or several names and classes; None is all modules.

    Raises ``ValueError`` where a name, a class or a function finds none, ``TypeError`` for anything else.
    """
    modules = dict(model.named_modules())
    if layers is None:
        return frozenset(modules)
    if isinstance(layers, (str, type)) or not isinstance(layers, Iterable):
        return _found(modules, layers)
    found = [_found(modules, one) for one in layers]
    if not found:
        raise ValueError("layers is empty; allowed: at least one, or None for all")
    return frozenset().union(*found)


def _found(modules: dict[str, nn.Module], one: object) -> frozenset[str]:
    if isinstance(one, str):
        found = [name for name in modules if name == one or fnmatchcase(name, one)]
    elif isinstance(one, type) and issubclass(one, nn.Module):
        found = [name for name, module in modules.items() if isinstance(module, one)]
    elif callable(one) and not isinstance(one, type):
        found = [name for name, module in modules.items() if one(name, module)]
    else:
        raise TypeError(f"layers has {one!r}; allowed: names, classes of modules, or a function")
    if not found:
        some = ", ".join(repr(name) for name in list(modules)[1:4])
        raise ValueError(f"layers has {one!r}, which no module is; allowed: for example {some}")
    return frozenset(found)
