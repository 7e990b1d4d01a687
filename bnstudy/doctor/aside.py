"""What keeps a watch apart from the probes and diagnoses that run inside it."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from bnstudy.probes.moment import Moment


def weakly(owner: Any, name: str, *first: int) -> Callable[..., None]:
    """Return a hook that calls ``owner``'s method ``name`` as long as ``owner`` is there.

    Who keeps a model's state follows what its hooks hold, and fills it again: from a weak reference that
    leads nowhere, and from the owner it would lead back to the model.
    """
    return functools.partial(_call, weakref.ref(owner), name, *first)


def _call(reference: weakref.ref[Any], name: str, *args: Any) -> None:
    owner = reference()
    if owner is not None:
        getattr(owner, name)(*args)


class Aside:
    """Knows, in its context, whether a pass is one of a probe's or a diagnosis' own, which moves nothing."""

    def __init__(self) -> None:
        self.depth = 0
        self._own: Any = None

    def __bool__(self) -> bool:
        return self.depth > 0

    def __enter__(self) -> None:
        own = vars(Moment)["run"]

        @functools.wraps(own)
        def run(*args: Any, **kwargs: Any) -> Any:
            self.depth += 1
            try:
                return own(*args, **kwargs)
            finally:
                self.depth -= 1

        self._own = own
        Moment.run = run  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        Moment.run = self._own  # type: ignore[method-assign]
