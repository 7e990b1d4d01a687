"""tf1's modules: no import circle, one purpose each, and old paths that still work."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import bnstudy
from bnstudy._moved import MOVED

ROOT = Path(bnstudy.__file__).parent
PREFIX = "bnstudy.tf1"


def modules(root: Path) -> dict[str, Path]:
    found = {}
    for path in (root / "tf1").rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(["bnstudy", *parts])
        found[name.removesuffix(".__init__")] = path
    return found


def imports(name: str, path: Path, known: set[str]) -> set[str]:
    """Return the modules of tf1 that this one uses, those of type checking and of functions included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from package import module` needs the module; the package is its parent, always there.
            found |= {i for i in inner if i in known} or {node.module}
    return {i for i in found if i in known and i != name}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one circle, or none."""
    done: set[str] = set()

    def search(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            for other in sorted(graph[name]):
                if found := search(other, [*path, name]):
                    return found
            done.add(name)
        return []

    return next((found for name in graph if (found := search(name, []))), [])


def test_no_module_imports_in_a_circle() -> None:
    found = modules(ROOT)
    graph = {name: imports(name, path, set(found)) for name, path in found.items()}
    assert len(graph) > 30
    assert circle(graph) == []
    # A planted one is seen.
    planted = {**graph, f"{PREFIX}.graph": graph[f"{PREFIX}.graph"] | {f"{PREFIX}.math"}}
    assert f"{PREFIX}.graph" in circle(planted)


def test_every_module_says_its_purpose_and_is_small() -> None:
    for name, path in modules(ROOT).items():
        text = path.read_text()
        assert ast.get_docstring(ast.parse(text)), name
        assert text.count("\n") <= 350, name


@pytest.mark.parametrize("old", [old for old in MOVED if old.startswith(PREFIX)])
def test_old_paths_find_their_modules(old: str) -> None:
    with pytest.warns(DeprecationWarning, match="the old path goes with the next version"):
        assert importlib.import_module(old) is importlib.import_module(MOVED[old])


def test_an_old_path_does_not_take_a_functions_place() -> None:
    """Importing a module sets its name on the package, where ``tf1.batch_norm`` has to stay the function."""
    package = importlib.import_module(PREFIX)
    taken = [
        old for old in MOVED if old.rpartition(".")[0] == PREFIX and old.rpartition(".")[2] in package.__all__
    ]
    assert taken == []
