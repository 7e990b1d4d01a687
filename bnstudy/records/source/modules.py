"""What a module's source binds at its top level: definitions, imports, and statements with other effects."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from bnstudy.records.source.tree import plainly_decorated

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Block = ast.If | ast.Try | ast.With | ast.For | ast.While


class Import(NamedTuple):
    """Where a name is imported from: a module, and a name in it, or None for the module itself."""

    module: str
    name: str | None


@dataclass
class Module:
    """A module's source, statement by statement.

    ``definitions``: the statements that bind a name. ``effects``: those that do something else when the
    module is imported, among them functions and classes whose decorator may register them. ``loads``:
    modules that it imports when it is imported.
    """

    name: str
    is_package: bool
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Import] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)
    loads: set[str] = field(default_factory=set)


@cache
def read_module(name: str, is_package: bool, content: bytes) -> Module:
    """Return the module of this source, which must be left as it is: it is the same at every call."""
    module = Module(name, is_package)
    for statement in ast.parse(content).body:
        _add(module, statement)
    return module


def imports_in(module: Module, nodes: Iterable[ast.AST]) -> dict[str, Import]:
    """Return what the imports below some nodes bind."""
    found: dict[str, Import] = {}
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import | ast.ImportFrom):
                found |= _bound(module, inner)
    return found


def loaded_in(module: Module, nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names of the modules that the imports below some nodes load, and of some that aren't any."""
    found = set()
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import):
                found |= {alias.name for alias in inner.names}
            elif isinstance(inner, ast.ImportFrom):
                for target in _bound(module, inner).values():
                    found |= {target.module, f"{target.module}.{target.name}"}
    return found


def _add(module: Module, statement: ast.stmt) -> None:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        module.imports |= _bound(module, statement)
        module.loads |= loaded_in(module, [statement])
    elif isinstance(statement, ast.If) and _is_type_checking(statement.test):
        # For annotations alone, also where the package loads lazily.
        module.imports |= imports_in(module, statement.body)
        for other in statement.orelse:
            _add(module, other)
    elif isinstance(statement, _Definition):
        module.definitions.setdefault(statement.name, []).append(statement)
        if not plainly_decorated(statement, _outside(module)):
            module.effects.append(statement)
    elif not _is_idle(statement):
        names, plain = _assigned(statement)
        for name in names:
            module.definitions.setdefault(name, []).append(statement)
        module.imports |= imports_in(module, [statement])
        if not plain:
            module.effects.append(statement)


def _bound(module: Module, statement: ast.Import | ast.ImportFrom) -> dict[str, Import]:
    if isinstance(statement, ast.Import):
        return {
            alias.asname or alias.name.partition(".")[0]: Import(
                alias.name if alias.asname else alias.name.partition(".")[0], None
            )
            for alias in statement.names
        }
    source = statement.module or ""
    if statement.level:
        parts = module.name.split(".")
        keep = len(parts) - statement.level + module.is_package
        source = ".".join([*parts[:keep], *([source] if source else [])])
    if any(alias.name == "*" for alias in statement.names):
        raise ValueError(f"{module.name} has 'from {source} import *'; allowed: names, so that each is found")
    return {alias.asname or alias.name: Import(source, alias.name) for alias in statement.names}


def _assigned(statement: ast.stmt) -> tuple[list[str], bool]:
    """Return the names that a statement binds, and whether that is all that it does."""
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        leaves = [leaf for target in targets for leaf in _leaves(target)]
        names = [leaf.id for leaf in leaves if isinstance(leaf, ast.Name)]
        return names, len(names) == len(leaves)
    if isinstance(statement, _Block):
        return list(dict.fromkeys(_names_in(statement))), False
    return [], isinstance(statement, ast.Pass)


def _leaves(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for element in target.elts:
            yield from _leaves(element)
    elif isinstance(target, ast.Starred):
        yield from _leaves(target.value)
    else:
        yield target


def _names_in(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            yield child.name
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        elif not isinstance(child, ast.Lambda):
            yield from _names_in(child)


def _outside(module: Module) -> Callable[[Sequence[str]], tuple[str, int] | None]:
    """Return what resolves a decorator's name by the imports so far, which come before it."""

    def resolve(names: Sequence[str]) -> tuple[str, int] | None:
        if names[0] in module.definitions:
            return "", len(names)  # the package's own may do anything
        target = module.imports.get(names[0])
        if target is None:
            return None
        parts = (target.module, target.name, *names[1:])
        return ".".join(part for part in parts if part), len(names)

    return resolve


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _is_idle(statement: ast.stmt) -> bool:
    """Say whether a statement does nothing in an import: ``if __name__ ...``, or a docstring."""
    if isinstance(statement, ast.If) and isinstance(test := statement.test, ast.Compare):
        return isinstance(test.left, ast.Name) and test.left.id == "__name__"
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
