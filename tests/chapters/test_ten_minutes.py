"""The page "Batch norm in ten minutes": its numbers against arithmetic written out, and its words."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bnstudy import doctor
from bnstudy.analysis.chinese import chinese
from bnstudy.chapters.ten_minutes.lesson import CHANNEL, SHOWN, Lesson
from bnstudy.chapters.ten_minutes.page import DRAWN, TenMinutes
from bnstudy.chapters.ten_minutes.words import PICTURES

matplotlib.use("agg")

NOTEBOOK = Path(__file__).parents[2] / "book" / "ten_minutes.ipynb"
CHINESE = NOTEBOOK.parent / "zh" / "ten_minutes.md"


@pytest.fixture(scope="module")
def page() -> TenMinutes:
    return TenMinutes()


@pytest.fixture(scope="module")
def lesson(page) -> Lesson:
    return page.lesson


def by_hand(net, x, statistics):
    """The network's logits in float64, each batch norm by what ``statistics`` returns."""
    x = x.double()
    for layer in net:
        if hasattr(layer, "moving_mean"):
            axes = [0, *range(2, x.dim())]
            mean, variance = statistics(layer, x.mean(axes), x.var(axes, correction=0))
            shape = (1, -1) + (1,) * (x.dim() - 2)
            scaled = (x - mean.view(shape)) / (variance.view(shape) + layer.epsilon).sqrt()
            x = scaled + layer.beta.double().view(shape)
        elif isinstance(layer, torch.nn.Conv2d):
            x = F.conv2d(x, layer.weight.double(), layer.bias.double(), layer.stride, layer.padding)
        elif isinstance(layer, torch.nn.Linear):
            x = x @ layer.weight.double().T + layer.bias.double()
        else:
            x = layer(x)
    return x


def stored(layer, mean, variance):
    return layer.moving_mean.double(), layer.moving_variance.double()


def initial(layer, mean, variance):
    return torch.zeros_like(mean), torch.ones_like(variance)


def of_batch(layer, mean, variance):
    return mean, variance


@torch.no_grad()
def share_right(net, images, statistics, order=None, size=None):
    index = torch.arange(len(images.y)) if order is None else order
    size = size or len(index)
    parts = [part for part in index.split(size) if len(part) == size]
    right = [by_hand(net, images.x[part], statistics).argmax(1) == images.y[part] for part in parts]
    return float(torch.cat(right).double().mean())


def test_accuracies_are_those_of_the_arithmetic_written_out(lesson):
    found, test = {**lesson.update_accuracies, **lesson.hurts}, lesson.test
    # One image in 359 may fall to the other side of a tie, by rounding.
    tie = 1.5 / len(test.y)
    assert found["updates run"] == pytest.approx(share_right(lesson.net, test, stored), abs=tie)
    assert found["updates forgotten"] == pytest.approx(share_right(lesson.forgotten, test, initial), abs=tie)
    by_class = torch.tensor(sorted(range(len(test.y)), key=lambda i: int(test.y[i])))
    expected = share_right(lesson.net, test, of_batch, by_class, SHOWN)
    assert found[f"batches of {SHOWN}, sorted by class"] == pytest.approx(expected, abs=tie)


def test_what_the_captions_say_is_so(lesson):
    found, hurts = lesson.update_accuracies, lesson.hurts
    assert found["updates run"] > 0.9
    assert found["updates forgotten"] < found["updates run"] - 0.1
    assert min(found["forgotten, recalibrated"], found["forgotten, but by the test batch"]) > 0.9
    averages, shuffled, pairs, by_class = hurts.values()
    assert averages - 0.05 < shuffled
    assert by_class < pairs < shuffled - 0.1
    among, alone = lesson.company
    assert max(among) - min(among) > 1
    assert min(among) < alone < max(among)


def test_the_weights_are_the_same_without_updates_and_others_after_another_training(lesson):
    assert lesson.weights_apart == 0.0
    other = Lesson()
    other.__dict__["forgotten"] = other._trained("never")
    other.forgotten[0].weight.data[0] += 0.5
    other.__dict__["net"] = lesson.net
    assert other.weights_apart == pytest.approx(0.5, rel=1e-3)


def test_axes_and_what_undoes_them(lesson):
    x = lesson.given.numpy().astype(np.float64)
    assert lesson.axes.shape == x.shape
    assert lesson.axes.means == x.shape[1]
    assert lesson.axes.values == x[:, 0].size
    assert lesson.dense_axes.values == SHOWN
    gamma, beta, off = lesson.undoing
    assert gamma == pytest.approx(np.sqrt(x[:, CHANNEL].var() + 1e-3), rel=1e-5)
    assert beta == pytest.approx(x[:, CHANNEL].mean(), abs=1e-6)
    assert off < 1e-5
    assert lesson.unmoved < 1e-8
    assert lesson.of_one_value == [0.0, 0.0]
    assert lesson.started == pytest.approx(0.999**100)


def test_batch_means_scatter_by_the_root_of_the_batch_size(lesson):
    for size, scatter in lesson.scatter.items():
        # Drawn without replacement from the training images, which makes large batches a little more alike.
        alike = np.sqrt(1 - size / len(lesson.train.y))
        assert scatter == pytest.approx(lesson.scatter[2] * np.sqrt(2 / size) * alike, rel=0.05)


def test_the_doctor_says_what_the_page_is_about(lesson):
    assert "never-updated" in {finding.code for finding in doctor.scan(lesson.forgotten).findings}


def test_the_chinese_page_has_the_same_pictures_and_numbers_and_no_english_label(page):
    shown = page.chinese("<p>A report.</p>")
    for name in DRAWN:
        english, said = PICTURES["en"][name], PICTURES["zh"][name]
        assert sorted(re.findall(r"{(\w+)}", said.seen)) == sorted(re.findall(r"{(\w+)}", english.seen))
        html = shown[f"ten_minutes_{name}_zh"]
        assert html.count('role="img"') == 1
        assert "{" not in html[html.index("<figcaption>你会看到：") :]
        drawn = [" ".join(unescape(text).split()) for text in re.findall(r"<text[^>]*>([^<]*)</text>", html)]
        assert [text for text in drawn if chinese(text) is None] == []
    text = CHINESE.read_text(encoding="utf-8")
    quoted = set(re.findall(r"\.\./ten_minutes\.ipynb::(\w+)", text))
    assert quoted <= set(page.numbers) | set(shown)
    assert set(shown) <= quoted
    assert text.count("**练习。**") == text.count(":::{dropdown} 答案") == 7
    cells = nbformat.read(NOTEBOOK, 4).cells
    asked = {number for cell in cells for number in re.findall(r"\{glue:text\}`(\w+)`", cell.source)}
    assert quoted - set(shown) == asked


def test_every_picture_has_words_and_every_number_is_there(page):
    assert set(DRAWN) == set(PICTURES["en"]) == set(PICTURES["zh"])
    for name in DRAWN:
        html = page.picture(name)
        assert html.count("<svg") == html.count('role="img"') == 1
        assert "{" not in html[html.index("<figcaption>") :]
    with pytest.raises(ValueError, match="name is 'cube'; allowed: 'axes'"):
        page.picture("cube")
    cells = nbformat.read(NOTEBOOK, 4).cells
    assert all(not cell.get("outputs") for cell in cells)
    text = "\n".join(cell.source for cell in cells)
    assert set(re.findall(r"\{glue:text\}`(\w+)`", text)) <= set(page.numbers)
    assert {name for name in DRAWN if f'_page.picture("{name}")' in text} == set(DRAWN)
    assert text.count("**Exercise.**") == text.count(":::{dropdown} Answer") == 7


def test_the_lesson_leaves_the_caller_s_random_numbers_alone():
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    assert Lesson()._trained("never") is not None
    assert torch.equal(torch.rand(3), expected)
