"""Names of a graph's operations: unique, nested, and blind to case, as TensorFlow gives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Names:
    """Hands out names; ``add``, then ``Add_1``, then ``add_2``.

    Source: ``tf.Graph.unique_name`` and ``tf.Graph.name_scope``.
    """

    def __init__(self) -> None:
        self._uses: dict[str, int] = {}
        self.scope = ""

    def unique(self, name: str) -> str:
        """Return ``name`` in the current scope, with a number if it is taken.

        A name ending in ``/`` is that of a scope entered before, and is taken as it is, without the slash.
        """
        if name.endswith("/"):
            return name[:-1]
        full = f"{self.scope}/{name}" if self.scope else name
        key = full.lower()
        count = self._uses.get(key, 0)
        self._uses[key] = count + 1
        if not count:
            return full
        candidate = key
        while candidate in self._uses:
            candidate = f"{key}_{count}"
            count += 1
        self._uses[candidate] = 1
        return f"{full}_{count - 1}"

    @contextmanager
    def within(self, name: str | None) -> Iterator[str]:
        """Return a context whose names begin with ``name``; it gives the scope's name with a slash at its
        end.

        None and ``""`` lead back to the root; a name ending in ``/`` re-enters a scope.
        """
        outer = self.scope
        self.scope = self.unique(name) if name else ""
        try:
            yield f"{self.scope}/" if self.scope else ""
        finally:
            self.scope = outer
