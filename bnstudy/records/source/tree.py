"""A piece of source as text that only its meaning changes, with its references in their places.

Positions, comments, docstrings, imports and the annotations of functions leave no text, and neither does how
a name is spelled that comes from elsewhere (``F.relu`` and ``functional.relu`` are one). The text is our own:
what ``ast.dump``, ``ast.unparse`` and the compiler give differs from one Python to the next.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

# What the first parts of a dotted name stand for, and how many parts those are: something in the package, or
# the name (a string) of something outside. None: neither, such as a local variable or a builtin.
Resolve = Callable[[Sequence[str]], "tuple[T | str, int] | None"]
# What a string constant refers to, and whether it says no more than that.
ResolveString = Callable[[str], "tuple[set[T], bool]"]

# Decorators that read no annotation, and that leave what they decorate to be reached by its name.
PLAIN_DECORATORS = frozenset(
    {
        "abc.abstractmethod", "classmethod", "contextlib.contextmanager", "dataclasses.dataclass",
        "functools.cache", "functools.cached_property", "functools.lru_cache", "functools.wraps",
        "numba.extending.intrinsic", "numba.njit", "property", "staticmethod", "torch.inference_mode",
        "torch.no_grad", "typing.final", "typing.overload", "typing.runtime_checkable",
    }
)  # fmt: skip

_Function = ast.FunctionDef | ast.AsyncFunctionDef
# Say how something is written, or where, and nothing about what it does.
_SILENT = frozenset({"ctx", "kind", "simple", "type_comment", "type_ignores"})


@dataclass
class Tree(Generic[T]):
    """Text with references of type T in their places, and what is referred to besides."""

    parts: list[str | T] = field(default_factory=list)
    besides: set[T] = field(default_factory=set)

    def references(self) -> set[T]:
        """Return all that is referred to."""
        return {part for part in self.parts if not isinstance(part, str)} | self.besides


def tree_of(nodes: Iterable[ast.AST], resolve: Resolve[T], resolve_string: ResolveString[T]) -> Tree[T]:
    """Return the tree of some statements or expressions."""
    writer = _Writer(resolve, resolve_string)
    for node in nodes:
        writer.write(node)
    return writer.tree


def dotted(node: ast.AST) -> list[str] | None:
    """Return the parts of ``a.b.c``, or None for any other expression."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) else None


def plainly_decorated(node: ast.AST, resolve: Resolve[T]) -> bool:
    """Say whether all of a function's or class's decorators are among ``PLAIN_DECORATORS``."""
    for decorator in getattr(node, "decorator_list", ()):
        names = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator) or []
        found = resolve(names) if names else None
        outside = found[0] if found and found[1] == len(names) else ".".join(names)
        if outside not in PLAIN_DECORATORS:
            return False
    return True


def _says_nothing(node: object) -> bool:
    """Say whether a node is an import, which its names tell of, a docstring, or the dots of an empty body."""
    return isinstance(node, ast.Import | ast.ImportFrom) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


class _Writer(Generic[T]):
    def __init__(self, resolve: Resolve[T], resolve_string: ResolveString[T]) -> None:
        self.tree: Tree[T] = Tree()
        self._resolve = resolve
        self._resolve_string = resolve_string
        self._annotated = False  # whether annotations are part of the text

    def write(self, node: ast.AST) -> None:
        if _says_nothing(node):
            return
        if isinstance(node, ast.Constant):
            self._constant(node.value)
        elif isinstance(node, ast.Name | ast.Attribute):
            self._name(node)
        elif isinstance(node, ast.JoinedStr):
            self._joined(node)
        elif isinstance(node, ast.ClassDef):
            with self._body_of(annotated=True):
                self._fields(node)
        elif isinstance(node, _Function):
            self._function(node)
        elif isinstance(node, ast.AnnAssign | ast.arg) and not self._annotated:
            if node.annotation is not None:
                self._beside(node.annotation)
            self._fields(node, without=("annotation",))
        else:
            self._fields(node)

    def _fields(self, node: ast.AST, without: Sequence[str] = ()) -> None:
        self._text(f"({type(node).__name__}")
        # By name, and without the empty ones: later Pythons add fields.
        for name in sorted(set(node._fields) - _SILENT - set(without)):
            value = getattr(node, name, None)
            if value is None or value == []:
                continue
            self._text(f" {name}=")
            if isinstance(value, list):
                self._text("[")
                for item in value:
                    if not _says_nothing(item):
                        self._value(item)
                        self._text(",")
                self._text("]")
            else:
                self._value(value)
        self._text(")")

    def _value(self, value: object) -> None:
        if isinstance(value, ast.AST):
            self.write(value)
        else:
            self._text(ascii(value))

    def _function(self, node: _Function) -> None:
        annotated = not plainly_decorated(node, self._resolve)
        with self._body_of(annotated=annotated):
            if node.returns is not None and not annotated:
                self._beside(node.returns)
            self._fields(node, without=() if annotated else ("returns",))

    def _name(self, node: ast.Name | ast.Attribute) -> None:
        names = dotted(node)
        # What is bound here is told by its name.
        binds = isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        found = self._resolve(names) if names and not binds else None
        if names is None or found is None:
            self._fields(node)
            return
        target, used = found
        rest = names[used:]
        self._text("(Attribute " * len(rest))
        if isinstance(target, str):
            self._text(f"<{target}>")
        else:
            self.tree.parts.append(target)
        for name in rest:
            self._text(f" attr={name!r})")

    def _constant(self, value: object) -> None:
        if isinstance(value, str):
            found, is_all = self._resolve_string(value)
            self.tree.besides |= found
            if is_all:
                self._text("(Reference)")
                return
        self._text(f"(Constant {type(value).__name__} {value!a})")

    def _joined(self, node: ast.JoinedStr) -> None:
        # Where its constant parts are split is the parser's choice.
        self._text("(JoinedStr ")
        text = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
                continue
            self._text(f"{text!a},")
            text = ""
            self.write(part)
        self._text(f"{text!a})")

    def _beside(self, annotation: ast.expr) -> None:
        """Refer to what an annotation names, and leave its text out."""
        inner = _Writer(self._resolve, self._resolve_string)
        for node in ast.walk(annotation):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                try:
                    inner.write(ast.parse(node.value, mode="eval").body)
                except SyntaxError:
                    continue
        inner.write(annotation)
        self.tree.besides |= inner.tree.references()

    @contextmanager
    def _body_of(self, annotated: bool) -> Iterator[None]:
        kept, self._annotated = self._annotated, annotated
        try:
            yield
        finally:
            self._annotated = kept

    def _text(self, text: str) -> None:
        parts = self.tree.parts
        if parts and isinstance(parts[-1], str):
            parts[-1] += text
        else:
            parts.append(text)
