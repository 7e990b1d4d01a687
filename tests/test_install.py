"""What an installation brings: a core that works with three packages, and errors that name the extra."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from bnstudy._extras import EXTRAS

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def distribution(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return found[0].lower()


def test_every_extra_that_an_error_names_brings_the_package():
    extras = PROJECT["optional-dependencies"]
    installed = packages_distributions()
    for package, extra in EXTRAS.items():
        names = {name.lower() for name in installed[package]}
        assert names & {distribution(r) for r in extras[extra]}, (package, extra)
    assert {distribution(r) for r in PROJECT["dependencies"]} == {"torch", "numpy", "pandas"}


def test_every_package_that_is_imported_is_a_dependency_or_named_in_an_error():
    allowed = {*EXTRAS, *sys.stdlib_module_names, "bnstudy", "torch", "numpy", "pandas", "numba", "llvmlite"}
    # Found at run time by what brings them, or imported inside a handler of their absence.
    allowed |= {"lightning", "pytorch_lightning", "transformers", "safetensors", "__future__"}
    allowed |= {"tensorflow", "tf_slim"}  # in an environment of its own
    imported = re.compile(r"^\s*(?:import|from) (\w+)", re.M)
    strange = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "bnstudy").rglob("*.py")
        for name in imported.findall(re.sub(r'""".*?"""', "", path.read_text(), flags=re.S))
        if name not in allowed and not (path.parent / f"{name}.py").exists()
    }
    assert not strange


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """A folder of installed packages without those that extras bring."""
    folder = tmp_path_factory.mktemp("bare")
    hidden = {*EXTRAS, "numba", "llvmlite", "bnstudy"}
    for site in {Path(p) for p in sys.path if p.endswith("site-packages")}:
        for package in site.iterdir():
            if package.name.partition(".")[0] not in hidden and package.suffix not in (".pth", ".dist-info"):
                target = folder / package.name
                if not target.exists():
                    target.symlink_to(package)
    return folder


CORE = """
import torch
import bnstudy, bnstudy.norm, bnstudy.probes, bnstudy.frameworks, bnstudy.tf1
from torch import nn
model = bnstudy.convert(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
probe = bnstudy.probes.GradientHealth(model)
with probe():
    model(torch.randn(4, 2)).square().sum().backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
assert len(probe.frame()) > 3
import bnstudy.train.data
for use in (lambda: bnstudy.load, lambda: bnstudy.load_dataset("digits")):
    try:
        use()
    except (ModuleNotFoundError, bnstudy.train.data.DataError) as error:
        print(error)
try:
    import seaborn
except ModuleNotFoundError as error:
    print(error)
"""


def test_the_core_works_with_three_packages_and_what_is_missing_is_named(bare):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(bare)]),
        "OMP_NUM_THREADS": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-S", "-c", CORE], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    reading, data, own = ended.stdout.splitlines()
    assert re.fullmatch(
        r"bnstudy[\w.]+ needs \w+, which isn't installed; pip install 'bnstudy\[records\]' brings it", reading
    )
    assert data == "digits: scikit-learn is not installed; install it with: pip install 'bnstudy[data]'"
    assert own == "No module named 'seaborn'"


def test_the_wheel_has_every_module_and_its_types(tmp_path):
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "bnstudy"):
        (tree / name).symlink_to(ROOT / name)
    built = subprocess.run(
        [*pip, "--no-build-isolation", "--wheel-dir", str(tmp_path), str(tree)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "bnstudy").rglob("*.py")}
    assert sources | {"bnstudy/py.typed"} <= names
