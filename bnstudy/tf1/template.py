"""One function, many calls, one set of variables: ``tf.make_template``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bnstudy.tf1.graph import get_default_graph
from bnstudy.tf1.scopes import VariableScope, variable_scope
from bnstudy.tf1.variables import Variable


class Template:
    """A function whose first call creates its variables and whose later calls reuse them."""

    def __init__(self, name: str, function: Callable[..., Any], keywords: dict[str, Any]) -> None:
        counts = get_default_graph().template_counts
        count = counts.get(name, 0)
        counts[name] = count + 1
        self.name = name if count == 0 else f"{name}_{count}"
        self._function = function
        self._keywords = keywords
        self._scope: VariableScope | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the function returns.

        Raises ``ValueError`` if a later call asks for a variable that the first did not create.
        """
        first = self._scope is None
        with variable_scope(self._scope or self.name, reuse=None if first else True) as scope:
            result = self._function(*args, **{**self._keywords, **kwargs})
        if first:
            self._scope = scope
        return result

    @property
    def variable_scope(self) -> VariableScope | None:
        """Return the scope of its variables, or None before the first call."""
        return self._scope

    @property
    def variables(self) -> list[Variable]:
        """Return its variables."""
        return [] if self._scope is None else _inside(self._scope.global_variables(), self._scope.name)

    @property
    def trainable_variables(self) -> list[Variable]:
        """Return its trainable variables."""
        return [v for v in self.variables if v.trainable]


def make_template(name_: str, func_: Callable[..., Any], **kwargs: Any) -> Template:
    """Return ``func_`` with ``kwargs`` bound, sharing its variables over all calls under ``name_``.

    Source: ``tf.make_template``.
    """
    return Template(name_, func_, kwargs)


def _inside(variables: list[Variable], scope: str) -> list[Variable]:
    # The collection's filter matches prefixes, so that `net` would find `net_1` too.
    return [v for v in variables if v.name.startswith(f"{scope}/")]
