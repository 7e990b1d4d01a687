"""All definitions that some entry points reach, and one digest over them.

A definition is a function, a class or a constant at the top level of a module. Reached is what its source
names: called, called for a default, as decorator, base class, annotation, or in a string. What can't be told
apart counts as a whole: a module that is passed on, or asked for a name that its source doesn't bind. So does
what a reached module does when it is imported.

The digest is over the definitions' trees (``bnstudy.records.source.tree``), each with the digests of what it
refers to in their places, as in the refinement of Weisfeiler and Leman (1968). Neither modules nor the
order of definitions enter it.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from bnstudy.records.source.modules import Import, Module, imports_in, loaded_in, read_module
from bnstudy.records.source.tree import Resolve, ResolveString, Tree, tree_of

_CONSTRUCTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Definition(NamedTuple):
    """A name at the top level of a module; all of the module if it is empty."""

    module: str
    name: str


Trees = dict[Definition, Tree[Definition]]


class Code:
    """The source of a package.

    Args:
        package: its name.
        read: returns a module's source, or None where there is no such module.
        leaves: definitions that count as the text given here, and reach nothing.
    """

    def __init__(
        self,
        package: str,
        read: Callable[[str], tuple[bytes, bool] | None],
        leaves: Mapping[Definition, str] | None = None,
    ) -> None:
        self._package = package
        self._read = read
        self._leaves = dict(leaves or {})
        self._modules: dict[str, Module | None] = {}
        self._trees: Trees = {}

    def digest(
        self, entries: Sequence[Definition], choices: Mapping[Definition, Sequence[str]] | None = None
    ) -> str:
        """Return the first 16 hexadecimal digits of the SHA-256 over what the entry points reach.

        ``choices``: of these constants, which are dictionaries, only the values under these keys count.

        Raises:
            ValueError: an entry point isn't in the package, or a choice not in its dictionary.
        """
        trees = self.reached(entries, choices)
        digests = dict.fromkeys(trees, "")
        while True:
            finer = {d: _hash(tree, digests) for d, tree in trees.items()}
            if len(set(finer.values())) == len(set(digests.values())):
                return digest_of(*sorted(set(finer.values())))
            digests = finer

    def reached(
        self, entries: Sequence[Definition], choices: Mapping[Definition, Sequence[str]] | None = None
    ) -> Trees:
        """Return the trees of all that the entry points reach."""
        choices = choices or {}
        found: Trees = {}
        todo = list(entries)
        loaded: set[str] = set()
        while todo:
            definition = todo.pop()
            if definition in found:
                continue
            chosen = definition in choices
            tree = self._chosen(definition, choices[definition]) if chosen else self._tree(definition)
            found[definition] = tree
            todo += tree.references()
            if definition not in self._leaves:
                for name in (definition.module, *self._imported_by(definition)):
                    todo += self._effects(name, loaded)
        return found

    def module(self, name: str) -> Module | None:
        """Return a module of the package, or None."""
        if name not in self._modules:
            inside = name == self._package or name.startswith(f"{self._package}.")
            found = self._read(name) if inside else None
            self._modules[name] = read_module(name, found[1], found[0]) if found else None
        return self._modules[name]

    def _tree(self, definition: Definition) -> Tree[Definition]:
        if definition not in self._trees:
            self._trees[definition] = self._make_tree(definition)
        return self._trees[definition]

    def _make_tree(self, definition: Definition) -> Tree[Definition]:
        if definition in self._leaves:
            return Tree([self._leaves[definition]])
        module = self.module(definition.module)
        if module is None:
            raise ValueError(f"{definition.module} is no module of {self._package}")
        if not definition.name:
            return self._whole(module)
        kind, _, number = definition.name.partition(" ")
        statements = (
            [module.effects[int(number)]] if kind == _EFFECT else module.definitions.get(definition.name)
        )
        if statements is None:
            raise ValueError(f"{definition.module} has no {definition.name!r}")
        tree = tree_of(statements, self._resolver(module, statements), self._string_resolver(module))
        # One statement may bind several names, and means another thing for each.
        return Tree([f"({definition.name})", *tree.parts], tree.besides) if kind != _EFFECT else tree

    def _whole(self, module: Module) -> Tree[Definition]:
        """Return a module as all that can be had from it."""
        tree: Tree[Definition] = Tree(["(Module)"])
        tree.besides |= {Definition(module.name, name) for name in module.definitions}
        for target in module.imports.values():
            found, _ = self._follow(target, ())
            # What it uses of a module that it imports is named by its own definitions.
            if isinstance(found, Definition) and found.name:
                tree.besides.add(found)
        return tree

    def values(self, definition: Definition) -> dict[Any, ast.expr]:
        """Return the expressions in a constant that is a dictionary, by their keys if these are constants."""
        module = self.module(definition.module)
        return {
            key.value: value
            for statement in (module.definitions.get(definition.name, []) if module else [])
            if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Dict)
            for key, value in zip(statement.value.keys, statement.value.values, strict=True)
            if isinstance(key, ast.Constant)
        }

    def _chosen(self, definition: Definition, keys: Sequence[str]) -> Tree[Definition]:
        module, values = self.module(definition.module), self.values(definition)
        if module is None or not set(keys) <= set(values):
            raise ValueError(f"{definition.module} has no dictionary {definition.name!r} with {sorted(keys)}")
        nodes = [values[key] for key in sorted(keys)]
        return tree_of(nodes, self._resolver(module, nodes), self._string_resolver(module))

    def _effects(self, name: str, loaded: set[str]) -> list[Definition]:
        """Return what importing a module does, and the modules that it imports, and their packages.

        Among that is what they enter into a registry that reached code reads.
        """
        todo, found = [name], []
        while todo:
            name = todo.pop()
            # The face of the whole package finds old import paths, and loads nothing by itself.
            if name in loaded or name == self._package or (module := self.module(name)) is None:
                continue
            loaded.add(name)
            found += [Definition(name, f"{_EFFECT} {i}") for i in range(len(module.effects))]
            todo += [*module.loads, name.rpartition(".")[0]]
        return found

    def _imported_by(self, definition: Definition) -> set[str]:
        """Return the modules that a definition itself imports, once it is called."""
        module = self.module(definition.module)
        statements = module.definitions.get(definition.name, ()) if module else ()
        return loaded_in(module, statements) if module else set()

    def _resolver(self, module: Module, nodes: Sequence[ast.AST]) -> Resolve[Definition]:
        local = imports_in(module, nodes)

        def resolve(names: Sequence[str]) -> tuple[Definition | str, int] | None:
            first, rest = names[0], names[1:]
            if first not in local and first in module.definitions:
                return Definition(module.name, first), 1
            target = local.get(first) or module.imports.get(first)
            if target is None:
                return None
            found, used = self._follow(target, rest)
            return found, used + 1

        return resolve

    def _string_resolver(self, module: Module) -> ResolveString[Definition]:
        def resolve(text: str) -> tuple[set[Definition], bool]:
            if text.endswith(".py") and text[:-3].isidentifier() and text != "__init__.py":
                folder = module.name if module.is_package else module.name.rpartition(".")[0]
                name = f"{folder}.{text[:-3]}"
                return ({Definition(name, "")}, True) if self.module(name) else (set(), False)
            if text.startswith(f"{self._package}."):
                path = text.replace(":", ".").split(".")
                if all(part.isidentifier() for part in path):
                    found, used = self._within(path[0], path[1:])
                    if isinstance(found, Definition):
                        return {found}, used == len(path) - 1
            # As in ``globals()[text]``; a constant's name is too often an ordinary word.
            if any(isinstance(statement, _CONSTRUCTED) for statement in module.definitions.get(text, ())):
                return {Definition(module.name, text)}, False
            imported, _ = self._follow(module.imports[text], ()) if text in module.imports else ("", 0)
            return ({imported} if isinstance(imported, Definition) else set()), False

        return resolve

    def _follow(self, target: Import, rest: Sequence[str]) -> tuple[Definition | str, int]:
        """Return what an import stands for, with the names behind it, and how many of these that took."""
        own = (target.name,) if target.name else ()
        if self.module(target.module) is None:
            return ".".join((target.module, *own, *rest)), len(rest)
        found, used = self._within(target.module, (*own, *rest))
        return found, max(0, used - len(own))

    def _within(self, name: str, names: Sequence[str]) -> tuple[Definition | str, int]:
        """Return what ``names`` stand for in a module, and how many of them that took."""
        module = self.module(name)
        if module is None or not names:
            return Definition(name, ""), 0
        first, rest = names[0], names[1:]
        if first in module.definitions:
            return Definition(name, first), 1
        target = module.imports.get(first, Import(name, first))
        if target != Import(name, first):
            found, used = self._follow(target, rest)
        elif self.module(f"{name}.{first}") is not None:
            found, used = self._within(f"{name}.{first}", rest)
        else:
            return Definition(name, ""), 0
        return found, used + 1


_EFFECT = "<effect>"


def _hash(tree: Tree[Definition], digests: Mapping[Definition, str]) -> str:
    text = "".join(part if isinstance(part, str) else f"@{digests[part]}" for part in tree.parts)
    return _sha(text, *sorted({digests[reference] for reference in tree.besides}))


def digest_of(*texts: str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of some texts."""
    return _sha(*texts)[:16]


def _sha(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
