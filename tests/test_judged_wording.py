"""How estimates and findings are written."""

from __future__ import annotations

import math

import pytest

from bnstudy.analysis.judged.verdicts import ANSWERS, Estimate, find
from bnstudy.analysis.judged.wording import ANSWERS as WRITTEN
from bnstudy.analysis.judged.wording import write_estimate, write_finding
from bnstudy.analysis.statistics import Interval
from bnstudy.chapters.judged import claims, family, words

STEPS = family()["steps to a result, none over batch norm"]
ACCURACY = family()["test accuracy at the end, batch norm minus none"]
SHARE = family()["share of seeds that diverge, one layer a step in turn"]
COSINE = next(q for name, q in family().items() if name.startswith("cosine"))


def estimate(quantity, mean, low, high, **why):
    return Estimate(quantity, Interval(mean, low, high, 16), **why)


@pytest.mark.parametrize(
    ("found", "english", "chinese"),
    [
        (
            estimate(ACCURACY, 0.0098, 0.0077, 0.0131),
            "+0.98 points [+0.77, +1.31]",
            "+0.98 个百分点 [+0.77, +1.31]",
        ),
        (
            estimate(ACCURACY, -1e-9, -0.001, 0.001),
            "0.00 points [-0.10, +0.10]",
            "0.00 个百分点 [-0.10, +0.10]",
        ),
        (estimate(STEPS, 1.0, 0.5, 1.5), "2.00 × [1.41, 2.83]", "2.00 倍 [1.41, 2.83]"),
        (estimate(STEPS, 1.0, 0.5, math.inf), "at least 1.41 ×", "至少 1.41 倍"),
        (estimate(STEPS, 1.0, -math.inf, 1.5), "at most 2.83 ×", "至多 2.83 倍"),
        (estimate(SHARE, 1.0, 0.59, 1.0), "100 % [59, 100]", "100 % [59, 100]"),
        (estimate(COSINE, 0.0344, -0.01, 0.08), "0.034 [-0.010, 0.080]", "0.034 [-0.010, 0.080]"),
        (estimate(COSINE, math.nan, -math.inf, math.inf), "undefined for some seeds", "部分种子无定义"),
        (
            estimate(STEPS, math.nan, -math.inf, math.inf, missing="no seeds 100"),
            "not measured yet",
            "尚未测量",
        ),
        (
            estimate(STEPS, math.nan, -math.inf, math.inf, untested="every training diverged"),
            "not tested: every training diverged",
            "未能检验：every training diverged",
        ),
    ],
)  # fmt: skip
def test_an_estimate_is_written_in_its_scale(found, english, chinese):
    assert write_estimate(found) == english
    assert write_estimate(found, "zh") == chinese


def test_a_finding_says_statement_answer_size_and_grades():
    [part] = claims()["C4"].parts
    finding = find(part, estimate(STEPS, 1.1, 0.77, 1.43))
    written = write_finding(finding, words()["C4"])
    assert written.startswith("Without batch norm training takes at least 1.25 times the steps")
    assert written.endswith(
        ': holds (2.14 × [1.71, 2.69]); "Very fast": at least twice the steps: can\'t tell.'
    )
    assert "成立（" not in written
    assert write_finding(finding, words()["C4"], "zh").endswith("无法判断。")


def test_every_answer_and_every_part_can_be_written():
    assert set(WRITTEN) == set(ANSWERS)
    for name, claim in claims().items():
        for part in claim.parts:
            finding = find(part, estimate(part.quantity, part.bound, part.bound - 0.1, part.bound + 0.1))
            for language in ("en", "zh"):
                assert write_finding(finding, words()[name], language)
    with pytest.raises(ValueError, match="language is 'fr'; allowed"):
        write_estimate(estimate(STEPS, 1.0, 0.5, 1.5), "fr")
