"""The digest of code: over what is reached, whatever it is called and wherever it stands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bnstudy._loaded import source
from bnstudy.records.source import Code, Definition

ROOT = Path(__file__).parents[1]

# What the Pythons' own trees differ in, or might: f-strings, parts of them, type comments, numbers, strings.
SAMPLE = {
    "p": "",
    "p.a": '''
        """A module."""
        from __future__ import annotations
        import math
        from dataclasses import dataclass, field
        from typing import Any
        import torch.nn.functional as F
        from p import b
        from p.b import Base, register as listed

        SCALE: float = -1.5e-3
        FIRST, *REST = 1_000, 0x10, 1j, 1e400, b"\\xff\\n", ...

        @dataclass(frozen=True)
        class Point(Base, key="é\\u2028\\U0001f600"):
            """A point."""
            x: float = field(default=SCALE)
            y: "int | None" = None

            def norm(self, *args: int, power=2, **more: Any) -> float:
                """Its norm."""
                total = sum(v ** power for v in (self.x, self.y) if v)  # of all
                return f"{total!r:>{power}} {{}} " f"and {total=:.3f}" "é" or F.relu(total)

        @listed("it")
        def entry(a, /, b=b.LIMIT, *, c: Point = None, d=lambda x, *y: (x, *y)):
            global FIRST
            try:
                with open(__file__) as f, b.lock:
                    while (n := math.floor(a)) > 0 and not c: a -= n
                    else: pass
            except (OSError, ValueError) as error:
                raise RuntimeError("no", *REST) from error
            match a:
                case {"k": [1, *rest], **other} if rest: yield from rest
                case Point(x=0.0) | None: return
            async def inner(): return [i async for i in a if i[::2, ...]]
            del a[0], b
            assert c is not d, "never"
            return {**a, "b": {*a}, "s": "entry"}, a @ b < c <= d
    ''',
    "p.b": '''
        from p.a import entry
        LIMIT = 3 if True else 4
        lock = None
        class Base:
            pass
        def register(name):
            def decorate(f):
                """It."""
                return f
            return decorate
    ''',
}  # fmt: skip
LITERAL = "ea2c7d8d55474093"


def code(modules):
    content = {name: textwrap.dedent(text).encode() for name, text in modules.items()}
    packages = {name.rpartition(".")[0] for name in modules}

    def read(name):
        return (content[name], name in packages) if name in content else None

    return Code("p", read)


def digest(modules, *entries):
    return code(modules).digest([Definition(*entry.split(":")) for entry in entries or ("p.a:f",)])


def names(modules, *entries):
    found = code(modules).reached([Definition(*entry.split(":")) for entry in entries or ("p.a:f",)])
    return {f"{d.module}:{d.name}" for d in found}


def pythons():
    """This Python, and others of those that the package is for, wherever they are found."""
    found = {"here": sys.executable}
    for version in ("3.11", "3.12", "3.13"):
        installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        path = installed[-1] if installed else shutil.which(f"python{version}")
        if path:
            found[version] = str(path)
    return found


def test_it_is_the_same_here():
    assert digest(SAMPLE, "p.a:entry", "p.b:") == LITERAL


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_it_is_the_same_on_every_python(version):
    path = pythons().get(version)
    if path is None:
        pytest.skip(f"there is no Python {version}")
    # All of it needs the standard library alone.
    script = (
        "import json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from bnstudy.records.source import Code, Definition\n"
        "m = json.loads(sys.argv[2]); read = lambda n: (m[n].encode(), n == 'p') if n in m else None\n"
        "print(Code('p', read).digest([Definition('p.a', 'entry'), Definition('p.b', '')]))\n"
        "from bnstudy._loaded import source\n"
        "print(Code('bnstudy', source).digest([Definition('bnstudy.study.work', 'perform')]))"
    )
    modules = {name: textwrap.dedent(text) for name, text in SAMPLE.items()}
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [path, "-I", "-B", "-c", script, str(ROOT), json.dumps(modules)],
        capture_output=True,
        text=True,
        env=environment,
    )
    whole = Code("bnstudy", source).digest([Definition("bnstudy.study.work", "perform")])
    assert done.stdout.split() == [LITERAL, whole], done.stderr


BASE = {
    "p": "",
    "p.a": """
        import torch.nn.functional as F
        from p.b import used
        LIMIT = 3

        def f(x):
            return F.relu(used(x) + LIMIT)
    """,
    "p.b": """
        def used(x):
            return x + helper(x)

        def helper(x):
            return 2 * x

        def idle(x):
            return 5
    """,
    "p.c": "import registry\nregistry.add(1)",
}


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("p.b", "2 * x", "3 * x"),
        ("p.a", "LIMIT = 3", "LIMIT = 4"),
        ("p.a", "F.relu", "F.gelu"),
        ("p.a", "+ LIMIT", "- LIMIT"),
        ("p.b", "def helper(x)", "def helper(x=1)"),
        ("p.b", "def helper", "@cached\n        def helper"),
        ("p.b", "return x + helper(x)", "return x + idle(x)"),
        ("p.a", "import torch.nn.functional as F", "import other as F"),
        ("p.a", "LIMIT = 3", "LIMIT = 3\n        F.set_mode(7)"),
        ("p.a", "LIMIT = 3", "OTHER, LIMIT = 4, 3"),
        ("p.a", "import used\n        LIMIT", "import used\n        import p.c\n        LIMIT"),
        ("p.a", "LIMIT = 3", "LIMIT = 3\n        LIMIT += 1"),
        ("p.a", "LIMIT = 3", "LIMIT = 3\n        if F.old: LIMIT = 4"),
    ],
)
def test_a_change_of_what_is_reached_changes_it(module, old, new):
    assert old in BASE[module]
    changed = {**BASE, module: BASE[module].replace(old, new)}
    assert digest(changed) != digest(BASE)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("p.b", "return 5", "return 6"),
        ("p.b", "return 2 * x", "# twice\n            return (2\n                    * x)"),
        ("p.b", "return 2 * x", '"""Return it twice."""\n            return 2 * x'),
        ("p.b", "def helper(x)", "def helper(x: float) -> float"),
        ("p.a", "import torch.nn.functional as F", "from torch.nn import functional as F"),
        ("p.a", "from p.b import used", "import os\n        from p.b import used"),
        ("p.a", "from p.b import used", "from .b import used"),
    ],
)
def test_a_change_of_nothing_else_does(module, old, new):
    assert old in BASE[module]
    changed = {**BASE, module: BASE[module].replace(old, new)}
    assert digest(changed) == digest(BASE)


def test_moves_and_renamed_modules_change_nothing():
    whole = digest(BASE)
    a, b = BASE["p.a"], BASE["p.b"]
    renamed = {"p": "", "p.a": a.replace("p.b", "p.sub.c"), "p.sub": "", "p.sub.c": b}
    assert digest(renamed) == whole
    as_module = a.replace("from p.b import used", "from p import b").replace("used(x)", "b.used(x)")
    assert digest({**BASE, "p.a": as_module}) == whole
    local = a.replace("from p.b import used", "").replace(
        "def f(x):", "def f(x):\n            from p.b import used"
    )
    assert digest({**BASE, "p.a": local}) == whole
    face = {**BASE, "p": "from p.b import used", "p.a": a.replace("p.b", "p")}
    assert digest(face) == whole
    lazy = "if TYPE_CHECKING:\n    from p.b import used\ndef __getattr__(n): ..."
    assert digest({**face, "p": lazy}) == whole
    one = {"p": "", "p.a": a.replace("from p.b import used", "") + b}
    assert digest(one) == whole
    aliased = a.replace("import used", "import used as other").replace("used(x)", "other(x)")
    assert digest({**BASE, "p.a": aliased}) == whole


def test_names_that_one_statement_binds_are_told_apart():
    numbers = {"p": "", "p.a": "A, B = range(2)\ndef f(): return A"}
    found = {
        digest(numbers),
        digest({**numbers, "p.a": numbers["p.a"].replace("return A", "return B")}),
        digest({**numbers, "p.a": numbers["p.a"].replace("A, B =", "B, A =")}),
    }
    assert len(found) == 3


def test_two_definitions_of_one_name_are_told_apart():
    modules = {
        "p": "",
        "p.a": "from p.b import g\nfrom p import c\ndef f(): return g() + c.h()",
        "p.b": "def k(): return 1\ndef g(): return k()",
        "p.c": "def k(): return 2\ndef g(): return k()\ndef h(): return g()",
    }
    # The same definitions are reached, and one refers to another of the same name and text.
    swapped = {**modules, "p.a": "from p.c import g\nfrom p import b\ndef f(): return g() + b.h()"}
    swapped["p.b"], swapped["p.c"] = modules["p.b"] + "\ndef h(): return g()", modules["p.c"]
    both = {**modules, "p.b": swapped["p.b"]}
    everything = ("p.a:f", "p.b:", "p.c:")
    assert digest(both, *everything) != digest(swapped, *everything)


def test_circles_end():
    circle = {
        "p": "",
        "p.a": "from p import b\ndef f(n): return b.g(n)\ndef f2(n): return f(n)",
        "p.b": "from p import a\ndef g(n): return n and a.f2(n - 1)",
    }
    assert names(circle) >= {"p.a:f", "p.a:f2", "p.b:g"}
    assert digest(circle) != digest({**circle, "p.b": circle["p.b"].replace("n - 1", "n - 2")})


@pytest.mark.parametrize(
    "source",
    [
        "def f(x=used()): pass",
        "def f(x, *, y=used()): pass",
        "@used\ndef f(): pass",
        "@outer(used)\ndef f(): pass",
        "class f(used): pass",
        "class f(metaclass=used): pass",
        "class f:\n    def g(self):\n        return lambda: used",
        "class f:\n    x: used = 1",
        "def f(x: used): pass",
        "def f(x: 'list[used]'): pass",
        "def f() -> used: pass",
        "def f():\n    x: used = 1",
        "def f(): return 'used'",
        "def f(): return getattr(a, 'p.b.used')",
        "def f(): return 'p.b:used'",
        "def f(): return [g for g in (used,)]",
        "def f(): return f'{used}'",
        "TABLE = {'a': used}\ndef f(k): return TABLE[k]()",
        "try:\n    f = used\nexcept ImportError:\n    f = None",
        "from p import b\ndef f(): return b.used",
        "from p import b\ndef f(n): return getattr(b, n)",
        "import p.b\ndef f(): return p.b.used",
        "import p.b as q\ndef f(): return vars(q)",
        "def f():\n    import importlib\n    return importlib.import_module('p.b')",
        "from p.b import made\ndef f(): return made",
        "def f(): pass\n@other.register\ndef g(): return used",
        "def f(): pass\nother.register(used)",
        "REGISTRY = {}\nREGISTRY['a'] = used\ndef f(): return REGISTRY",
        "def f(): pass\nfor one in (1,):\n    other.add(used)",
        "from p import c\ndef f(): pass",
        "def f():\n    from p import d",
        "from p.q.inner import REGISTRY\ndef f(): return REGISTRY",
    ],
)
def test_however_it_is_reached_it_counts(source):
    modules = {
        "p": "",
        "p.a": ("" if "b" in source.split("\n", 1)[0].split() else "from p.b import used\n") + source,
        "p.b": "def used(): return 1\nmade = used()",
        "p.c": "import registry\nfrom p.b import used\nregistry.add(used)",
        "p.d": "import p.c",
        "p.q": "from p.q import fills",
        "p.q.inner": "REGISTRY = {}",
        "p.q.fills": "from p.q.inner import REGISTRY\nfrom p.b import used\nREGISTRY['it'] = used",
    }
    assert "p.b:used" in names(modules)
    assert digest(modules) != digest({**modules, "p.b": modules["p.b"].replace("1", "2")})


def test_a_name_that_a_module_does_not_bind_makes_all_of_it_count():
    modules = {"p": "", "p.a": "from p.b import made\ndef f(): return made", "p.b": "g = globals()\nx = 1"}
    assert digest(modules) != digest({**modules, "p.b": modules["p.b"].replace("1", "2")})


def test_a_script_beside_a_module_counts_where_its_name_is_a_string():
    modules = {"p": "", "p.a": "SCRIPT = 'c.py'\ndef f(): return SCRIPT", "p.c": "def main(): return 1"}
    assert digest(modules) != digest({**modules, "p.c": "def main(): return 2"})
    renamed = {"p": "", "p.a": modules["p.a"].replace("c.py", "d.py"), "p.d": modules["p.c"]}
    assert digest(renamed) == digest(modules)


def test_of_a_choice_only_the_chosen_counts():
    modules = {
        "p": "",
        "p.a": "def g(): return 1\ndef h(): return 2\nALL = {'g': g, 'h': h}\ndef f(k): return ALL[k]",
    }
    entry, choice = [Definition("p.a", "f")], Definition("p.a", "ALL")
    of = {key: code(modules).digest(entry, {choice: (key,)}) for key in "gh"}
    changed = code({**modules, "p.a": modules["p.a"].replace("2", "3")})
    assert changed.digest(entry, {choice: "g"}) == of["g"]
    assert changed.digest(entry, {choice: "h"}) != of["h"]
    with pytest.raises(ValueError, match="no dictionary 'ALL' with"):
        changed.digest(entry, {choice: ("i",)})


def test_an_entry_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"p\.a has no 'g'"):
        digest(BASE, "p.a:g")
    with pytest.raises(ValueError, match=r"p\.z is no module"):
        digest(BASE, "p.z:g")
