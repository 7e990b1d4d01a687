"""Recorded cases of real TensorFlow, computed again: ``pytest tests/test_tensorflow.py --golden FILE``."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from tests import golden


@pytest.fixture(scope="module")
def cases(request: pytest.FixtureRequest) -> list[golden.Case]:
    torch.set_num_threads(1)
    loaded = golden.load(request.config.getoption("--golden"))
    for case in loaded:
        try:
            case.computed = golden.replay(case)
        except Exception as error:  # one broken case must not hide the others
            case.error = f"{type(error).__name__}: {error}"
    return loaded


def table(cases: Sequence[golden.Case]) -> tuple[str, list[str]]:
    """Return the report by group and one line per case outside tolerance."""
    groups: dict[str, list[float]] = {}
    counts: dict[str, int] = {}
    failing: list[str] = []
    arrays = 0
    for case in cases:
        group = case.info["group"]
        counts[group] = counts.get(group, 0) + 1
        worst = groups.setdefault(group, [0.0, 0.0, 0.0])
        if case.error:
            failing.append(f"{case.name}: {case.error}")
            worst[2] += 1
            continue
        found = list(golden.differences(case))
        arrays += len(found)
        outside = [(ratio, key) for key, _, ratio in found if ratio > 1.0]
        worst[0] = max([worst[0], *(gap for _, gap, _ in found)])
        worst[1] = max([worst[1], *(ratio for _, _, ratio in found)])
        if outside:
            ratio, key = max(outside)
            failing.append(
                f"{case.name}: {len(outside)} arrays, worst {key} at {ratio:.3g} times the tolerance"
            )
            worst[2] += 1
    lines = [f"{'group':<22}{'cases':>6}{'worst difference':>18}{'of tolerance':>14}{'outside':>9}"]
    for group in sorted(groups):
        gap, ratio, outside_count = groups[group]
        lines.append(f"{group:<22}{counts[group]:>6}{gap:>18.2e}{ratio:>14.3f}{outside_count:>9.0f}")
    lines.append(f"{'all':<22}{len(cases):>6}  {arrays} arrays, {len(failing)} cases outside tolerance")
    return "\n".join([*lines, *failing]), failing


def test_equals_tensorflow(cases: list[golden.Case], capsys: pytest.CaptureFixture[str]) -> None:
    report, failing = table(cases)
    with capsys.disabled():
        print(f"\n{report}")
    assert cases
    assert not failing, f"{len(failing)} cases are outside tolerance: {failing}"
