"""``tf.contrib.framework``: default arguments for functions, by ``arg_scope``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from bnstudy.tf1.variables import global_variables, model_variables

Function = TypeVar("Function", bound=Callable[..., Any])
Defaults = dict[str, dict[str, Any]]

_SCOPES: list[Defaults] = [{}]


@contextmanager
def arg_scope(
    list_ops_or_scope: Sequence[Callable[..., Any]] | Mapping[str, Any], **kwargs: Any
) -> Iterator[Defaults]:
    """Return a context in which the listed functions have other defaults; inner scopes add to outer ones.

    A scope that an earlier ``arg_scope`` gave can be entered again, without further arguments. Raises
    ``TypeError`` for what is no list, ``ValueError`` for a function that has no ``add_arg_scope`` and for
    arguments beside a scope.

    Source: ``tf.contrib.framework.arg_scope``.
    """
    if isinstance(list_ops_or_scope, Mapping):
        if kwargs:
            raise ValueError(
                "When attempting to re-use a scope by suppling a dictionary, kwargs must be empty."
            )
        current: Defaults = {key: dict(value) for key, value in list_ops_or_scope.items()}
    else:
        if not isinstance(list_ops_or_scope, (list, tuple)):
            raise TypeError("list_ops_or_scope must either be a list/tuple or reused scope (i.e. dict)")
        current = {key: dict(value) for key, value in _SCOPES[-1].items()}
        for function in list_ops_or_scope:
            if not has_arg_scope(function):
                raise ValueError(f"{function!r} is not decorated with @add_arg_scope")
            key = _key(function)
            current[key] = {**current.get(key, {}), **kwargs}
    _SCOPES.append(current)
    try:
        yield current
    finally:
        _SCOPES.pop()


def add_arg_scope(function: Function) -> Function:
    """Let ``arg_scope`` give ``function`` defaults; arguments of a call win over them."""

    @functools.wraps(function)
    def with_defaults(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **{**_SCOPES[-1].get(_key(with_defaults), {}), **kwargs})

    with_defaults._takes_arg_scope = True  # type: ignore[attr-defined]
    return with_defaults  # type: ignore[return-value]


def has_arg_scope(function: Callable[..., Any]) -> bool:
    """Return whether ``arg_scope`` can give ``function`` defaults."""
    return getattr(function, "_takes_arg_scope", False)


def current_arg_scope() -> Defaults:
    """Return the defaults of this place."""
    return _SCOPES[-1]


def get_variables(scope: Any = None, suffix: str | None = None) -> list[Any]:
    """Return the variables whose names begin with ``scope``, or end with ``suffix``."""
    name = getattr(scope, "name", scope)
    return [v for v in global_variables(name) if suffix is None or v.op.name.endswith(suffix)]


def get_model_variables(scope: Any = None, suffix: str | None = None) -> list[Any]:
    """Return the variables that layers created, by the same filters."""
    name = getattr(scope, "name", scope)
    return [v for v in model_variables(name) if suffix is None or v.op.name.endswith(suffix)]


def _key(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


__all__ = [
    "add_arg_scope", "arg_scope", "current_arg_scope", "get_model_variables", "get_variables",
    "has_arg_scope",
]  # fmt: skip
