"""What makes a record stale: a change of any place that decides its numbers, and of no other."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import bnstudy
from bnstudy.records.kinds import KINDS, SharingSpec, StepCostSpec, TensorFlowSpec
from bnstudy.records.spec import Probe, RunSpec
from bnstudy.records.store import Store
from bnstudy.study import deciding, work
from bnstudy.study.deciding import code_of, defaults_of, digest_in, kind_of, same_defaults, source_of
from bnstudy.study.equivalent import stale
from bnstudy.study.measures import MEASURES
from bnstudy.study.watching import PROBES
from bnstudy.train.networks import OWN

ROOT = Path(bnstudy.__file__).parent
NAMES = {
    "gaussianity": "gauss",
    "internal_covariate_shift": "ics",
    "activation_drift": "drift",
    "gradient_health": "health",
    "gradient_predictiveness": "landscape",
}
SPECS = {
    "train": RunSpec(),
    "resnet": RunSpec(network="resnet8"),
    **{short: RunSpec(probes=[probe]) for probe, short in NAMES.items()},
    "sharing": SharingSpec(),
    "step_cost": StepCostSpec(),
    "tensorflow": TensorFlowSpec(),
}
PROBED = set(NAMES.values())
TRAINING = {"train", "resnet", *PROBED}
FLEETS = {*TRAINING, "step_cost", "tensorflow"}  # those that build the network and its training
ALL = set(SPECS)

SPEC_ROOM = {("bnstudy.records.spec", name) for name in ("read_list", "_once", "validate")}
LOADER = {
    ("bnstudy._extras", "_Missing"),
    ("bnstudy._loaded", "_Keeping"),
    ("bnstudy._loaded", "_KeepingLoader"),
    ("bnstudy._moved", "_Moved"),
}


@cache
def files() -> dict[str, tuple[str, bool]]:
    """The package's source: text by module, and whether it is a package."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = ("bnstudy", *path.relative_to(ROOT).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        found[".".join(parts[:-1] if is_package else parts)] = (path.read_text(), is_package)
    return found


def reader(content: dict[str, tuple[str, bool]]):
    return lambda name: (content[name][0].encode(), content[name][1]) if name in content else None


def digests(changed: dict[str, tuple[str, bool]]) -> dict[str, str]:
    code = code_of(reader(changed))
    return {name: digest_in(code, spec) for name, spec in SPECS.items()}


@cache
def today() -> dict[str, str]:
    return digests(files())


def staled_by(room: str, old: str, new: str) -> set[str]:
    """The kinds of runs that another text makes stale, in the one module of a room that has it."""
    [module] = [name for name, (text, _) in files().items() if name.startswith(room) and old in text]
    text, is_package = files()[module]
    after = digests({**files(), module: (text.replace(old, new), is_package)})
    return {name for name in ALL if after[name] != today()[name]}


def module_of(thing: object) -> str:
    return str(getattr(thing, "__module__"))  # noqa: B009


def test_kinds_of_runs_have_digests_of_their_own_and_the_process_has_those_of_its_files():
    assert len(set(today().values())) == len(SPECS)
    assert {name: source_of(spec) for name, spec in SPECS.items()} == today()
    assert source_of(RunSpec(seed=3, norm="none", epochs=2)) == today()["train"]
    assert (
        kind_of(RunSpec(probes=["gradient_health", "gaussianity"]))
        == "train with gaussianity, gradient_health"
    )


def test_every_kind_probe_and_network_has_an_entry():
    assert set(OWN) == {"article", "resnet8"}
    assert set(MEASURES) == set(KINDS) - {"train"}
    assert set(PROBES) == set(Probe.__args__) == set(NAMES)


@pytest.mark.parametrize(
    ("module", "old", "new", "expected"),
    [
        # The norm of a probe alone.
        ("bnstudy.probes.internal_covariate_shift", "float(v.norm())", "2 * float(v.norm())", {"ics"}),
        ("bnstudy.probes.log", "def always(", "def always(step=1, *, ", PROBED),
        ("bnstudy.study.watching", "steps(len(rates), ", "steps(1 + len(rates), ", TRAINING),
        ("bnstudy.study.watching", "Predictiveness(net, loss, rate)", "Predictiveness(net)", {"landscape"}),
        # Seeds, data, optimiser, network, evaluation.
        ("bnstudy.train.seeds", ">> 1", ">> 2", FLEETS),
        ("bnstudy.train.seeds", "INITIALISATION, ORDER, ", "ORDER, INITIALISATION, ", FLEETS),
        ("bnstudy.train.optimize", "BETAS = (0.9, 0.999)", "BETAS = (0.9, 0.99)", FLEETS),
        ("bnstudy.train.network", "WIDTHS = (64, 64", "WIDTHS = (64, 32", FLEETS),
        ("bnstudy.train.resnet", "class ResNet8(", "class ResNet8(object, ", {"resnet"}),
        ("bnstudy.train", "TRAIN_SUBSET = 10_000", "TRAIN_SUBSET = 9_000", FLEETS),
        ("bnstudy.train.data", "255 / 16", "255 / 17", TRAINING),
        # A measure, a function of tf1, one that is found by a string, and the script of another process.
        ("bnstudy.study.measures.step_cost", "run.done.zero_()", "pass", {"step_cost"}),
        ("bnstudy.study.measures.sharing", "CHANNELS = 8", "CHANNELS = 9", {"sharing"}),
        ("bnstudy.study.measures.tensorflow", "FIRST_STEPS = 5", "FIRST_STEPS = 6", {"tensorflow"}),
        ("bnstudy.study.measures.tensorflow_article", "DECAY = 0.9", "DECAY = 0.8", {"tensorflow"}),
        ("bnstudy.tf1.math", "_operator(\"sub\", torch.sub)", "_operator(\"sub\", torch.add)", {"sharing"}),
        # How numbers are written.
        ("bnstudy.records.tables", '".9g"', '".6g"', ALL),
    ],
)  # fmt: skip
def test_a_change_of_a_deciding_place_makes_exactly_its_records_stale(module, old, new, expected):
    assert staled_by(module, old, new) == expected


def test_a_numba_intrinsic_counts():
    """It is reached by a module that is passed on, and by name there."""
    assert staled_by("bnstudy.norm", "0x7FFF", "0x7FFE") == FLEETS | PROBED


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("bnstudy.study.engine", "POLL_SECONDS = 0.5", "POLL_SECONDS = 0.6"),
        ("bnstudy.records.tables", '"optimiser steps"', '"steps"'),
        ("bnstudy.study.status", "complete", "all_there"),
        ("bnstudy.train.fleet", '"""Train one run', '"""Train exactly one run'),
        ("bnstudy.train.fleet", "device: str", "device: 'str'"),
        ("bnstudy.records.spec", "epochs: Positive = 5", "epochs: Positive = 5\n    other: int = 1"),
        ("bnstudy._moved", "MOVED: dict[str, str] = {", 'MOVED: dict[str, str] = {"bnstudy.x": "bnstudy.y",'),
    ],
)  # fmt: skip
def test_a_change_of_another_place_makes_none_stale(module, old, new):
    assert staled_by(module, old, new) == set()


def test_every_function_of_the_training_rooms_that_a_run_uses_counts():
    """A change in the body of any definition that is reached is seen: none is left out of the digest."""
    code = code_of(reader(files()))
    reached = code.reached(*_entries(RunSpec()))
    functions = [d for d in reached if d.module.startswith("bnstudy.train.") and d.name]
    assert len(functions) > 60
    for definition in functions[::12]:
        text, is_package = files()[definition.module]
        tree = ast.parse(text)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == definition.name:
                node.body.append(ast.parse("planted").body[0])
                after = {**files(), definition.module: (ast.unparse(tree), is_package)}
                assert digest_in(code_of(reader(after)), RunSpec()) != today()["train"], definition


def _entries(spec):
    sort = deciding._sort(spec)
    return deciding._entries(sort), deciding._choices(sort)


def test_a_network_of_one_s_own_counts_with_all_that_it_reaches_in_its_package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "widths.py").write_text("WIDTH = 3\nIDLE = 1")
    (package / "nets.py").write_text("from own_package.widths import WIDTH\ndef build(asked): return WIDTH")

    def digest():
        deciding._digest.cache_clear()
        importlib.invalidate_caches()
        return source_of(RunSpec(network="own_package.nets:build"))

    before = digest()
    assert before != source_of(RunSpec())
    (package / "widths.py").write_text("WIDTH = 3\nIDLE = 2  # nothing")
    assert digest() == before
    (package / "widths.py").write_text("WIDTH = 4\nIDLE = 2")
    assert digest() != before
    with pytest.raises(ValueError, match=r"'own_package\.none:build' has no module"):
        source_of(RunSpec(network="own_package.none:build"))


def test_written_anew_without_comments_and_docstrings_the_package_is_the_same():
    class Strip(ast.NodeTransformer):
        def generic_visit(self, node):
            super().generic_visit(node)
            body = getattr(node, "body", None)
            if isinstance(body, list) and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                first = body[:1]
                if first and isinstance(first[0], ast.Expr) and isinstance(first[0].value, ast.Constant):
                    node.body = body[1:] or [ast.Expr(ast.Constant("nothing"))]
            return node

    anew = {
        name: (ast.unparse(Strip().visit(ast.parse(text))), is_package)
        for name, (text, is_package) in files().items()
    }
    assert digests(anew) == today()


@pytest.mark.parametrize(
    "spec",
    [
        RunSpec(dataset="digits", precision="float32", updates="after_step", zero_debias=["none"], padding=2),
        RunSpec(dataset="digits", norm="noisy", probes=list(NAMES), probed_steps=1, dropout=0.5, renorm=True),
        RunSpec(dataset="digits", test_batches=[4], optimizer="sgd", scale=True, zero_debias=["none"]),
        SharingSpec(),
        StepCostSpec(dataset="digits", rounds=1, steps=1, batch_size=4),
    ],
    ids=lambda spec: kind_of(spec)[:20],
)
def test_whatever_is_called_in_a_run_is_reached(spec, few_digits):
    """The digest is from the source; this is what really runs."""
    called = set()
    for module in ("bnstudy.norm", "bnstudy.probes", "bnstudy.tf1", *deciding._modules(deciding._sort(spec))):
        if not module.endswith("tensorflow_article"):
            importlib.import_module(module)  # which calls much that no run does

    def look(frame, event, argument):
        code = frame.f_code
        # Bodies of classes and modules run while they are imported.
        is_function = event == "call" and code.co_flags & inspect.CO_OPTIMIZED
        if is_function and code.co_filename.startswith(str(ROOT)):
            called.add((frame.f_globals.get("__name__"), code.co_qualname.partition(".")[0]))

    if isinstance(spec, RunSpec):
        spec = spec.model_copy(update={"epochs": 1, "batch_size": 40, "evaluations": 1, "precise_images": 40})
    sys.setprofile(look)
    try:
        if isinstance(spec, RunSpec):
            work.trained([spec], few_digits)
        else:
            work.measured(spec, few_digits)
    finally:
        sys.setprofile(None)
    deciding.check_source(spec)  # also under a profiler, where numba alters code objects
    reached = {(d.module, d.name) for d in deciding._reached(deciding._sort(spec))}
    ours = {(module, name) for module, name in called if name[0] != "<"}
    assert len(ours) > 20
    specs = {(d.module, d.name) for d in deciding._SPECS} | {("bnstudy.records.spec", "Spec")}
    # Specs count by their values, the loader and lazy imports load, and the rest is reached.
    assert {pair for pair in ours - specs if pair[1] != "__getattr__"} <= reached | SPEC_ROOM | LOADER


class Renamed(ast.NodeTransformer):
    """A module's source after other modules got other names."""

    def __init__(self, names):
        self.names = names

    def visit_ImportFrom(self, node):
        for alias in node.names:
            new = self.names.get(f"{node.module}.{alias.name}")
            if new:
                alias.asname = alias.asname or alias.name
                alias.name = new.rpartition(".")[2]
        node.module = self.names.get(node.module, node.module)
        return node

    def visit_Import(self, node):
        for alias in node.names:
            alias.name = self.names.get(alias.name, alias.name)
        return node

    def visit_Constant(self, node):
        if not isinstance(node.value, str):
            return node
        module, colon, attribute = node.value.partition(":")
        return ast.Constant(self.names.get(module, module) + colon + attribute)


def test_other_module_names_change_nothing():
    """Each module of the deciding rooms gets another name, and two of the rooms."""
    rooms = {
        "bnstudy.train": "bnstudy.training",
        "bnstudy.probes": "bnstudy.looks",
        "bnstudy.norm": "bnstudy.norm",
    }
    names = {
        name: f"{rooms[room]}.{last}_x"
        for name, (_, is_package) in files().items()
        for room, _, last in [name.rpartition(".")]
        if room in rooms and not is_package and name != deciding._NETWORKS.module
    } | {old: new for old, new in rooms.items() if old != new}
    assert len(names) > 30
    after = {
        names.get(name, name): (ast.unparse(Renamed(names).visit(ast.parse(text))), is_package)
        for name, (text, is_package) in files().items()
    }
    assert set(after) != set(files())
    assert digests(after) == today()


def test_a_spec_counts_by_its_values(monkeypatch, tmp_path):
    """The defaults that a spec leaves out are recorded: another makes the record stale, a new field not."""
    made = {"source": source_of(RunSpec()), "defaults": defaults_of(RunSpec())}
    step = {"source": source_of(StepCostSpec()), "defaults": defaults_of(StepCostSpec())}
    assert made["defaults"]["train"]["epsilon"] == 1e-3
    assert "epochs" not in made["defaults"]["train"]  # it is in the canonical JSON
    assert step["defaults"]["train"]["epochs"] == 5  # of the runs that it times
    store = Store(tmp_path)
    records = [
        store.write(RunSpec(), made, "finished", {}),
        store.write(StepCostSpec(), step, "finished", {}),
    ]
    assert stale(records, store) == []
    kept = deciding._defaults("train")
    monkeypatch.setattr(deciding, "_defaults", lambda kind: {**kept, "new": 7} if kind == "train" else {})
    assert stale(records, store) == []
    monkeypatch.setattr(
        deciding, "_defaults", lambda kind: {**kept, "epsilon": 1e-2} if kind == "train" else {}
    )
    assert stale(records, store) == sorted(record.spec.name for record in records)
    assert not same_defaults(RunSpec(), {"train": {"epsilon": 1e-3}})
    assert same_defaults(RunSpec(epsilon=1e-5), {"train": {"epsilon": 1e-3}})


def test_reading_the_digest_imports_nothing_that_trains(tmp_path):
    code = (
        "import sys\nfrom bnstudy.study.deciding import source_of\nfrom bnstudy.records.kinds import *\n"
        "print(source_of(RunSpec()), source_of(SharingSpec()))\n"
        "assert 'torch' not in sys.modules and 'bnstudy.train.fleet' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == [today()["train"], today()["sharing"]], done.stderr
