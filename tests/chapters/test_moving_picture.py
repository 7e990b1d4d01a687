"""The moving picture: what is recorded fits itself, and its averages are the layer's."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import moving_picture as benchmark
from bnstudy.chapters.moving_picture import figures, page
from bnstudy.chapters.moving_picture.words import WORDS
from bnstudy.norm import BatchNorm
from bnstudy.norm.moments import moments
from tests import parts


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return page.recorded()


def test_the_recorded_histograms_have_the_recorded_moments(result):
    """Up to the width of a bin and what was clipped: they are of the same values."""
    edges = np.linspace(result["low"], result["high"], len(result["histograms"][0]) + 1)
    centres, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    values = result["values_per_image"] * result["spec"]["batch_size"]
    for step, counts in list(zip(result["histogram_steps"], result["histograms"], strict=True))[:-1]:
        assert sum(counts) == values
        mean = np.average(centres, weights=counts)
        variance = np.average((centres - mean) ** 2, weights=counts)
        assert abs(mean - result["mean"][step - 1]) < width / 4
        assert variance == pytest.approx(result["variance"][step - 1], rel=0.05)


def test_its_training_is_the_beginning_of_a_recorded_one(result):
    spec = benchmark.spec_of("cifar10")
    assert result["spec"] == json.loads(spec.canonical())
    assert len(result["mean"]) == len(result["variance"]) == math.ceil(50_000 / spec.batch_size)
    assert result["histogram_steps"] == list(range(1, len(result["mean"]) + 1, benchmark.HISTOGRAM_EVERY))


def test_what_is_kept_is_what_the_layer_was_given(few_digits):
    """A small training: the moments of the kept values are the kept moments, and the file has all of them."""
    spec = benchmark.spec_of("digits", train_size=64, batch_size=16)
    kept = benchmark.train(spec)
    assert len(kept.values) == len(kept.means) == 4
    for values, mean, variance in zip(kept.values, kept.means, kept.variances, strict=True):
        assert values.shape == (16 * 64, 32)
        again = moments(values.double(), axes=[0])
        # The values are bfloat16, as the layer saw them.
        np.testing.assert_allclose(again[0].numpy(), mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(again[1].numpy(), variance, rtol=1e-4)
    channel = benchmark.farthest(kept)
    body = benchmark.picture(kept, spec)
    assert body["channel"] == channel + 1
    assert np.array_equal(np.array(body["mean"], dtype=np.float32), kept.means[:, channel])
    assert np.array_equal(np.array(body["variance"], dtype=np.float32), kept.variances[:, channel])
    assert len(json.dumps(page.recorded())) < 300_000


def by_layer(result: dict[str, Any], decay: float) -> tuple[list[float], list[float]]:
    """The moving averages of a layer that is given batches with the recorded moments, in float64."""
    layer = BatchNorm(1, decay=decay).double()
    means, variances = [], []
    for mean, variance in zip(result["mean"], result["variance"], strict=True):
        apart = math.sqrt(variance)
        layer(torch.tensor([[mean - apart], [mean + apart]], dtype=torch.float64))
        means.append(float(layer.moving_mean))
        variances.append(float(layer.moving_variance))
    return means, variances


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_averages_are_the_layer_s(result, decay):
    means, variances = by_layer(result, decay)
    assert figures.averages(result["mean"], decay, 0.0) == pytest.approx(means, rel=1e-9, abs=1e-12)
    assert figures.averages(result["variance"], decay, 1.0) == pytest.approx(variances, rel=1e-9)


def test_the_caption_has_the_picture_s_numbers(result):
    means, _ = by_layer(result, 0.999)
    said = page.seen()
    assert f"ends at {means[-1]:.2f}" in said
    off = abs(means[-1] - result["mean"][-1]) / math.sqrt(result["variance"][-1])
    assert f"{off:.1f} standard deviations off" in said
    assert f"{100 * 0.999 ** len(means):.2g} % of its initial value" in said
    assert "{" not in said + page.made() + page.seen("zh") + page.made("zh")


def test_both_languages_fill_in_the_same_numbers():
    def holes(words: Any) -> Any:
        texts = {**vars(words), **words.script}
        return {key: sorted(re.findall(r"\{\w+\}", str(text))) for key, text in texts.items()}

    assert holes(WORDS["en"]) == holes(WORDS["zh"])


def test_what_isn_t_recorded_is_named_with_its_command(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"record it with: \.venv/bin/python benchmarks/moving_picture\.py"
    ):
        page.figure(data_dir=tmp_path)


# In a browser.

in_browser = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with parts.chromium() as found:
        yield found


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return parts.written(page.figure(), tmp_path_factory.mktemp("picture"))


@in_browser
def test_script_s_averages_are_the_layer_s(browser, written, result):
    with parts.opened(browser, written, reduced_motion="reduce") as shown:
        for decay in (0.0, 0.9, 0.9999):
            found = shown.evaluate(
                "([data, decay]) => [false, true].map(debias => movingPicture.follow(data, decay, debias))",
                [{"mean": result["mean"], "variance": result["variance"]}, decay],
            )
            means, variances = by_layer(result, decay)
            assert found[0]["mean"] == pytest.approx(means, rel=1e-9, abs=1e-12)
            assert found[0]["variance"] == pytest.approx(variances, rel=1e-9)
            # What is left of the start is known, so that it can be taken out.
            left = [decay ** (i + 1) for i in range(len(means))]
            free = [(v - w) / (1 - w) for v, w in zip(variances, left, strict=True)]
            assert found[1]["variance"] == pytest.approx(free, rel=1e-6)


@in_browser
def test_step_and_decay_move_by_keyboard_and_say_where_they_are(browser, written, result):
    with parts.opened(browser, written, reduced_motion="reduce") as shown:
        step, decay = (shown.get_by_role("slider", name=name) for name in ("Step", "Decay"))
        means, _ = by_layer(result, page.OPENS_WITH)
        behind = np.abs(np.array(means) - result["mean"]) / np.sqrt(result["variance"])
        assert step.get_attribute("aria-valuetext") == f"{behind.argmax() + 1} of {len(means)}"
        assert decay.get_attribute("aria-valuetext").startswith("0.99 (PyTorch's momentum 0.01)")
        decay.focus()
        shown.keyboard.press("End")
        assert decay.get_attribute("aria-valuetext").startswith("0.9999 (")
        step.focus()
        shown.keyboard.press("Home")
        shown.keyboard.press("ArrowRight")
        assert (
            shown.locator(".seen")
            .inner_text()
            .startswith(f"At step 2 the batch's mean is {result['mean'][1]:.2f}")
        )
        assert "The initial value has 100 % of the weight." in shown.locator(".seen").inner_text()
        shown.get_by_label("divide the initial values out").check()
        assert "The initial value is divided out." in shown.locator(".seen").inner_text()
        assert shown.locator(".drawing").get_attribute("aria-label") == shown.locator(".seen").inner_text()


@in_browser
def test_it_plays_and_stops_and_doesn_t_begin_by_itself_for_those_who_want_less_motion(browser, written):
    with parts.opened(browser, written, reduced_motion="reduce") as shown:
        step = shown.get_by_role("slider", name="Step")
        last = step.input_value()
        shown.wait_for_timeout(300)
        assert step.input_value() == last
        step.press("Home")
        shown.get_by_role("button", name="Play").click()
        shown.wait_for_function(
            "() => { const at = +document.querySelector('.step').value; return at > 1 && at < 300; }"
        )
        shown.get_by_role("button", name="Pause").click()
        stopped = step.input_value()
        shown.wait_for_timeout(300)
        assert step.input_value() == stopped
    with parts.opened(browser, written) as shown:
        shown.get_by_role("button", name="Pause").wait_for()


@in_browser
def test_a_phone_has_every_text_within_the_drawing(browser, written):
    with parts.opened(
        browser, written, reduced_motion="reduce", viewport={"width": 390, "height": 800}
    ) as shown:
        assert shown.evaluate("() => document.documentElement.scrollWidth") <= 390
        outside = shown.evaluate(
            """() => {
                 const box = document.querySelector('.drawing').getBoundingClientRect();
                 return [...document.querySelectorAll('.drawing text')].filter(text => {
                   const own = text.getBoundingClientRect();
                   return own.left < box.left - 1 || own.right > box.right + 1 || own.bottom > box.bottom + 1
                     || own.top < box.top - 1;
                 }).map(text => text.textContent);
               }"""
        )
        assert outside == []


@in_browser
def test_without_script_a_still_figure_shows(browser, written):
    with parts.opened(browser, written, java_script_enabled=False) as shown:
        assert shown.locator(".still svg").is_visible()
        assert shown.locator(".live").is_hidden()
