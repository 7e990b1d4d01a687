"""A report in every form, its suppressions, the registry of checks, and the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from bnstudy import doctor
from bnstudy.cli import main
from bnstudy.doctor import registry
from bnstudy.doctor.finding import Finding
from bnstudy.doctor.report import Report
from tests.doctor.nets import batches, trained

CODES = [
    "non-finite",
    "negative-variance",
    "half-overflow",
    "never-updated",
    "momentum-zero",
    "momentum-inverted",
    "epsilon-unusual",
    "mixed-modes",
    "frozen-yet-updating",
    "tracking-off",
    "missing-buffers",
    "redundant-bias",
    "left-in-eval",
    "updated-in-validation",
    "double-update",
    "tiny-batch",
    "last-batch",
    "non-finite-step",
    "statistics-harm",
    "drift",
    "batch-leak",
    "variance-shift",
    "not-batch-norm",
    "old-statistics",
    "rank-mismatch",
]


def broken():
    model = trained()
    model[1].running_var[0] = torch.nan
    model[1].running_mean[3] = torch.inf
    model[4].running_var[1] = -1.0
    model[4].eps = 0.5
    return model


def test_every_code_has_a_check_and_every_check_a_thread():
    assert set(doctor.codes()) == set(CODES)
    for check in registry.checks().values():
        assert re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", check.reference)
        assert any((check.scan, check.compare, check.watch, check.diagnose))
        assert not check.about.endswith(".")


def test_a_file_in_the_folder_is_all_that_a_check_takes(tmp_path, monkeypatch):
    (tmp_path / "new_check.py").write_text(
        "from bnstudy.doctor.finding import Check\n"
        "CHECK = Check('new-check', 'nothing', 'nobody/nothing#1', scan=lambda subject: [\n"
        "    CHECK.finding('note', None, 'it was asked', cause='.', fix='pass')])\n"
    )
    from bnstudy.doctor import checks

    monkeypatch.setattr(checks, "__path__", [*checks.__path__, str(tmp_path)])
    registry.checks.cache_clear()
    try:
        assert "new-check" in doctor.codes()
        assert doctor.scan(trained()).codes == {"new-check"}
    finally:
        monkeypatch.undo()
        registry.checks.cache_clear()
        sys.modules.pop("bnstudy.doctor.checks.new_check", None)
    assert "new-check" not in doctor.codes()


def reports():
    model = broken()
    train = batches(6)
    yield doctor.scan(model)
    yield doctor.scan(trained())
    yield doctor.diagnose(model, train, train[:2], progress=False)
    yield doctor.compare(trained(), model)


def test_text_fits_eighty_columns_and_says_what_to_do():
    for report in reports():
        text = str(report)
        assert max(map(len, text.splitlines())) <= 80, text
        for finding in report.findings:
            assert finding.code in text
            assert finding.reference in text
            assert finding.fix.splitlines()[0] in text


def test_every_fix_is_python_of_short_lines():
    for report in reports():
        for finding in report.findings:
            compile(finding.fix, finding.code, "exec")
            assert max(map(len, finding.fix.splitlines())) <= 72, finding.fix


def test_frame_and_scalars_have_the_findings():
    report = doctor.scan(broken())
    frame = report.frame()
    assert list(frame["code"]) == [f.code for f in report.findings]
    scalars = report.scalars()
    assert scalars["doctor/errors"] == report.count("error") == 2
    assert scalars["doctor/non-finite/channels"] == 2
    assert all(isinstance(value, float) for value in scalars.values())
    assert doctor.scan(trained()).frame().empty


def test_json_is_json_and_whole():
    for report in reports():
        read = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(name))
        assert read["ok"] is report.ok
        assert [f["code"] for f in read["findings"]] == [f.code for f in report.findings]
        assert all({"seen", "cause", "fix", "sure", "evidence"} <= f.keys() for f in read["findings"])
    report = doctor.diagnose(broken(), batches(6), batches(2), progress=False)
    read = json.loads(report.to_json())
    assert [row["layer"] for row in read["layers"]] == ["1", "4"]
    assert {row["statistics"] for row in read["measured"]} >= {"moving", "precise", "batch"}


def test_sarif_has_a_rule_a_level_and_a_place_for_each_result():
    report = doctor.scan(broken(), ignore=["epsilon-unusual"])
    log = json.loads(report.to_sarif())
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert set(rules) == set(CODES)
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] in ("1", "4")
    assert [r["ruleId"] for r in run["results"] if "suppressions" in r] == ["epsilon-unusual"]


def test_a_notebook_gets_a_table_and_a_figure_in_the_page_s_own_ink():
    report = doctor.diagnose(broken(), batches(6), batches(2), progress=False)
    html = report._repr_html_()
    for finding in report.findings:
        assert finding.code in html
    assert "<svg" in html
    assert "currentColor" in html
    assert "#333333" not in html
    assert html.count("<details>") == len({(f.severity, f.code, f.cause) for f in report.findings})
    assert "<svg" not in doctor.scan(trained())._repr_html_()


def test_text_in_a_report_is_escaped_in_html():
    finding = Finding("drift", "note", "<b>", "a < b", "c & d", "x = '<i>'", "a/b#1", "sure")
    html = Report("scan", "<model>", [finding], 1)._repr_html_()
    for raw in ("<b>", "<i>", "<model>", "a < b"):
        assert raw not in html


def test_a_long_name_leaves_the_counts_in_the_notebook():
    finding = Finding("drift", "note", None, "a", "b", "c", "a/b#1", "sure")
    subject = "a/" + "long/" * 30 + "checkpoint.pt"
    assert (
        f"scan of {subject}, 1 batch-norm layer: 1 note</p>"
        in Report("scan", subject, [finding], 1)._repr_html_()
    )


def test_suppressions_are_by_code_and_by_layer_and_are_counted():
    model = broken()
    assert doctor.scan(model, ignore=["non-finite", "negative-variance"]).ok
    some = doctor.scan(model, ignore=["non-finite:1", "negative-variance:9*"])
    assert [f.code for f in some.suppressed] == ["non-finite"]
    assert "1 suppressed" in str(some)
    with pytest.raises(ValueError, match="ignore has 'nonfinite'; allowed: batch-leak"):
        doctor.scan(model, ignore=["nonfinite"])
    with pytest.raises(TypeError, match="allowed: a list of codes"):
        doctor.scan(model, ignore="non-finite")


def test_evidence_that_is_not_finite_is_a_string():
    finding = Finding("drift", "note", None, "a", "b", "c", "a/b#1", "sure", {"x": np.inf, "y": float("nan")})
    assert finding.as_dict()["evidence"] == {"x": "inf", "y": "nan"}
    assert json.loads(Report("scan", "m", [finding], 1).to_json())


@pytest.fixture
def checkpoint(tmp_path):
    torch.save({"state_dict": broken().state_dict()}, tmp_path / "broken.pt")
    torch.save(trained().state_dict(), tmp_path / "good.pt")
    (tmp_path / "no.pt").write_text("no")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["good.pt"], 0),
        (["broken.pt"], 1),
        (["broken.pt", "--ignore", "non-finite", "--ignore", "negative-variance:4"], 0),
        (["no.pt"], 2),
        (["missing.pt"], 2),
        (["good.pt", "--ignore", "nothing"], 2),
    ],
)
def test_the_command_line_answers_by_its_exit_code(arguments, code, checkpoint, capsys):
    assert main(["doctor", str(checkpoint / arguments[0]), *arguments[1:]]) == code
    out, err = capsys.readouterr()
    assert bool(err) is (code == 2)
    assert (code == 2) or "scan of" in out
    assert len(err.splitlines()) <= 1


def test_the_command_line_prints_json_and_sarif(checkpoint, capsys):
    assert main(["doctor", str(checkpoint / "broken.pt"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["severity"] == "error"
    assert main(["doctor", str(checkpoint / "broken.pt"), "--sarif"]) == 1
    assert json.loads(capsys.readouterr().out)["runs"]


def test_help_lists_the_codes_and_the_main_help_the_command(capsys):
    for arguments in (["doctor", "--help"], ["--help"]):
        with pytest.raises(SystemExit):
            main(arguments)
        out = capsys.readouterr().out
        assert "doctor" in out
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    out = capsys.readouterr().out
    assert all(code in out for code in CODES)


@pytest.mark.slow
def test_a_broken_checkpoint_gets_its_cause_with_torch_numpy_and_pandas_alone(checkpoint):
    """Without matplotlib, tqdm and the rest, as after a plain installation."""
    names = ("matplotlib", "seaborn", "scipy", "tqdm", "torchvision", "sklearn", "pydantic", "filelock")
    code = (
        "import sys\n"
        f"for name in {names!r}: sys.modules[name] = None\n"
        "from bnstudy import doctor\n"
        "import torch\n"
        "from torch import nn\n"
        f"report = doctor.scan({str(checkpoint / 'broken.pt')!r})\n"
        "print(report)\n"
        "model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))\n"
        "data = [(torch.randn(8, 3), torch.randint(4, (8,))) for _ in range(3)]\n"
        "html = doctor.diagnose(model, data)._repr_html_()\n"
        "assert '<svg' not in html\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "negative-variance" in done.stdout


def test_a_report_is_a_table_of_pandas():
    report = doctor.diagnose(broken(), batches(6), batches(2), progress=False)
    assert isinstance(report.layers, pd.DataFrame)
    assert list(report.layers["layer"]) == ["1", "4"]
