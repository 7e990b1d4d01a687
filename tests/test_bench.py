"""The benchmark gives well-formed lines; how fast anything is, no test says."""

from __future__ import annotations

import json
from itertools import islice

import pytest
import torch
from torch import nn

from bnstudy.bench import command, machine, pairs, reading
from bnstudy.bench.lines import BANK, LINES, Settings
from bnstudy.bench.steps import Training, ordinary
from bnstudy.train.network import ArticleNet

TINY = ["--pairs", "1", "--steps", "1", "--batch-size", "4", "--threads", "1"]


@pytest.fixture(autouse=True, scope="module")
def small():
    """Ten records instead of a thousand, and three measurements of a rate: lines have the same form."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "SEEDS", 5)
        patch.setattr(machine, "REPEATS", 3)
        yield


@pytest.fixture(scope="module")
def result(small, tmp_path_factory):
    file = tmp_path_factory.mktemp("bench") / "new" / "bench.json"
    # All but a whole run in a process of its own, which takes a minute.
    names = [line.__name__ for line in LINES if line.__name__ != "memory"]
    assert command.main([*TINY, "--only", *names, "--json", str(file)]) == 0
    return json.loads(file.read_text())


def test_every_line_is_a_ratio_a_value_or_says_why_not(result):
    assert len({line["name"] for line in result["lines"]}) == len(result["lines"]) >= 12
    for line in result["lines"]:
        if "not_measured" in line:
            assert line["not_measured"]
        elif "value" in line:
            assert line["value"] > 0
            assert line["unit"]
        else:
            assert 0 < line["low"] <= line["ratio"] <= line["high"]
            assert line["over"]["rate"] > 0
            assert line["under"]["rate"] > 0
            assert line["pairs"] == 1
        assert line["name"] in pairs.text(line)


def test_the_machine_and_its_floors_are_described(result):
    assert result["machine"]["torch"] == torch.__version__
    assert result["machine"]["threads"] == 1
    for precision in ("float32", "bfloat16"):
        found = result["floors"][precision]
        assert 0 < found["both"] < min(found["arithmetic"], found["traffic"])


def test_without_a_gpu_its_lines_say_so(result):
    if not torch.cuda.is_available():
        lines = [line for line in result["lines"] if "GPU" in line["name"]]
        assert len(lines) == 2
        assert all("no GPU here" in line["not_measured"] for line in lines)


def test_the_operations_are_those_that_pytorch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    net = ArticleNet(generator=torch.Generator().manual_seed(0))
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(2, 3, 32, 32)).sum().backward()
    assert machine.operations() == counter.get_total_flops() / 2


def test_a_ratio_is_the_time_of_the_first_over_the_second():
    calls = []
    line = pairs.compare(
        "a / b",
        over=("a", lambda: calls.append("a") or sum(range(2_000_000))),
        under=("b", lambda: calls.append("b")),
        pairs=3,
    )
    assert "".join(calls) == "ab" + "abbaab"
    assert line["ratio"] > 1
    with pytest.raises(ValueError, match="pairs is 0; allowed: at least 1"):
        pairs.compare("a", over=("a", int), under=("b", int), pairs=0)


def test_the_ordinary_loop_trains_the_same_network(few_digits):
    loop = ordinary(few_digits, 40, 0)
    losses = list(islice(loop, 20))
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
    peer = [m for m in loop.gi_frame.f_locals["net"].modules() if isinstance(m, nn.Conv2d)]
    ours = [block.conv for block in ArticleNet().blocks]
    assert [m.weight.shape for m in peer] == [m.weight.shape for m in ours]


def test_timed_steps_train(few_digits):
    training = Training(Settings(few_digits, batch_size=40).spec(), few_digits, BANK)
    before = [p.clone() for p in training.run.net.parameters()]
    training.steps(3)
    training.evaluate(10)
    assert training.run.bank.steps == 3
    assert not any(torch.equal(a, b) for a, b in zip(before, training.run.net.parameters(), strict=True))


def test_a_batch_larger_than_the_data_set(few_digits):
    with pytest.raises(ValueError, match="batch_size is 81; allowed: at most 80"):
        Training(Settings(few_digits, batch_size=81).spec(), few_digits)


def test_json_alone_on_the_standard_output(capfd):
    assert command.main([*TINY, "--only", "gpu", "--json", "-"]) == 0
    assert {"machine", "settings", "floors", "lines", "sha256"} == set(json.loads(capfd.readouterr().out))
