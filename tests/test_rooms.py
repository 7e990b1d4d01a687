"""The order of the rooms: which module may import which, by statement or by string; and no circles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Rooms by floor: a module imports from its own room, and from floors below.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"bench"},
    {"chapters"},
    {"blocks"},
    {"analysis"},
    {"study"},
    {"train", "probes", "tf1"},
    {"norm", "records"},
)
# Rooms beside the stairs, and all that each may enter.
BESIDE = {"doctor": {"probes", "norm"}, "frameworks": {"probes", "norm", "doctor"}}
# The face shows every room; old names lead to new ones, whichever room has them.
EVERYWHERE = {"bnstudy", "bnstudy._moved"}
# Under all floors: what every room may stand on, since it stands on none of them.
CELLAR = {"_loaded", "_extras"}

# Strings that lead back: networks are made by name, and a digest names the code that it is over.
NAMED_ONLY = {
    ("bnstudy.train.networks", "bnstudy.train.network"),
    ("bnstudy.study.deciding", "bnstudy.study.work"),
}

Arrows = Mapping[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    found = {}
    for file in sorted((root / "bnstudy").rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def strings(tree: ast.AST) -> Iterator[str]:
    """Strings that may name modules, as patterns: what an f-string fills in is any one name."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"[^.]+"
                for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield re.escape(node.value)


def targets(name: str, file: Path, known: Mapping[str, Path]) -> Iterator[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            for _ in range(node.level - 1):
                package = package.rpartition(".")[0]
            base = ".".join(filter(None, (package if node.level else "", node.module)))
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                yield submodule if submodule in known else base
    for pattern in strings(tree):
        if pattern.startswith(re.escape("bnstudy.")):
            yield from (module for module in known if re.fullmatch(pattern, module))


def arrows(root: Path) -> dict[str, set[str]]:
    """What each module imports, be it only for a type checker."""
    known = modules(root)
    return {
        name: {t for t in targets(name, file, known) if t in known and t != name}
        for name, file in known.items()
        if name not in EVERYWHERE
    }


def room(module: str) -> str:
    return module.split(".")[1]


def upward(found: Arrows) -> list[str]:
    """The arrows that run up, or into a room that is none of the module's business."""
    floor = {name: height for height, names in enumerate(reversed(FLOORS)) for name in names}
    wrong = []
    for module, others in found.items():
        for other in others - EVERYWHERE:
            a, b = room(module), room(other)
            allowed = b in BESIDE[a] if a in BESIDE else floor.get(a, -1) > floor.get(b, len(FLOORS))
            allowed = allowed or (b in CELLAR and a not in CELLAR)
            # The command line and the bench may call whatever is below, the rooms beside included.
            allowed = allowed or (b in BESIDE and a in ("cli", "bench"))
            if a != b and not allowed:
                wrong.append(f"{module} -> {other}")
    return sorted(wrong)


def circles(found: Arrows) -> list[list[str]]:
    """Groups of modules that lead to one another (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(found.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            groups.append(sorted(stack[at:]))
            del stack[at:]

    for node in found:
        if node not in index:
            visit(node)
    return [group for group in groups if len(group) > 1]


def test_every_module_has_a_room():
    rooms = {room(name) for name in modules(ROOT) if name not in EVERYWHERE}
    assert rooms <= set().union(*FLOORS) | set(BESIDE) | CELLAR


def test_the_readme_names_every_room_and_top_level_file():
    tree = re.findall(r"^[├└]── (\S+)", (ROOT / "README.md").read_text(), re.M)
    there = {
        path.name + ("/" if path.is_dir() else "")
        for path in (ROOT / "bnstudy").iterdir()
        if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")
    }
    assert sorted(tree) == sorted(there)


def test_arrows_run_one_way():
    assert upward(arrows(ROOT)) == []


def test_no_circle():
    found = arrows(ROOT)
    for module, other in NAMED_ONLY:
        found[module].remove(other)  # an exception that is no more has to go
    assert circles(found) == []


@pytest.mark.parametrize(
    ("files", "wrong", "groups"),
    [
        ({"norm/a.py": "def f():\n    from bnstudy.train import b", "train/b.py": ""}, 1, 0),
        ({"study/a.py": "import importlib\nx = importlib.import_module('bnstudy.chapters.b')"}, 1, 0),
        ({"study/a.py": "x = lambda name: __import__(f'bnstudy.chapters.{name}')"}, 1, 0),
        ({"chapters/a.py": "from bnstudy.chapters import b", "chapters/b.py": "from . import a"}, 0, 1),
        (
            {
                "chapters/a.py": "if TYPE_CHECKING:\n    from bnstudy.chapters import b",
                "chapters/b.py": "from . import a",
            },
            0,
            1,
        ),
        ({"chapters/a.py": "from bnstudy.study import c", "study/c.py": "import bnstudy.norm.d"}, 0, 0),
        ({"doctor/a.py": "import bnstudy.study.c", "study/c.py": ""}, 1, 0),
        ({"cli.py": "import bnstudy.doctor.a", "doctor/a.py": "import bnstudy.norm.d"}, 0, 0),
    ],
)
def test_what_is_wrong_would_be_seen(tmp_path, files, wrong, groups):
    there = {"chapters/b.py": "", "norm/d.py": "", "train/b.py": "", **files}
    for name, text in there.items():
        file = tmp_path / "bnstudy" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    found = arrows(tmp_path)
    assert len(upward(found)) == wrong
    assert len(circles(found)) == groups
