"""Labels that the package writes in English, put into Chinese where a Chinese page shows them."""

from __future__ import annotations

import re
from html import escape, unescape
from typing import Final

from bnstudy.analysis.chinese_labels import KEPT, LABELS

_HAN = re.compile(r"[\u4e00-\u9fff]")
_WORD = re.compile(r"[A-Za-z]{2}")
_ESTIMATE = r"([-+−]?[\d.]+(?: \[[^\]]*\])?)"
_NUMBER = r"([\d.,e-]+)"
# A label with a number or another label in it; what stands in brackets is put into Chinese in its turn.
_PATTERNS: Final = tuple(
    (re.compile(pattern), chinese)
    for pattern, chinese in (
        (r"([-+−]?[\d.]+) percentage points( \[[^\]]*\])?", r"{0} 个百分点{1}"),
        (rf"above {_ESTIMATE} percentage points", "高于 {0} 个百分点"),
        (rf"below {_ESTIMATE} percentage points", "低于 {0} 个百分点"),
        (r"above ([-+\d.]+) ×", "高于 {0} 倍"),
        (r"above ([-+\d.]+)", "高于 {0}"),
        (r"below ([-+\d.]+) ×", "低于 {0} 倍"),
        (r"below ([-+\d.]+)", "低于 {0}"),
        (r"at least (.+)", "至少 {0}"),
        (r"(sgd|adam|SGD|Adam) ([\d.e-]+)", "{0} {1}"),
        (rf"(?:learning )?rate {_NUMBER}", "学习率 {0}"),
        (rf"learning rate {_NUMBER}, decay {_NUMBER}", "学习率 {0}，衰减率 {1}"),
        (rf"rate {_NUMBER}, decay {_NUMBER}", "学习率 {0}，衰减率 {1}"),
        (rf"(with(?:out)? batch norm), learning rate {_NUMBER}", "{0}，学习率 {1}"),
        (rf"both at {_NUMBER}", "同为 {0}"),
        (rf"batch size {_NUMBER}", "批大小 {0}"),
        (rf"batch size {_NUMBER}, decay {_NUMBER}", "批大小 {0}，衰减率 {1}"),
        (rf"centre, decay {_NUMBER}", "中心设置，衰减率 {0}"),
        (rf"(C\d+): decay {_NUMBER}", "{0}：衰减率 {1}"),
        (rf"decay {_NUMBER}", "衰减率 {0}"),
        (rf"decay {_NUMBER} minus decay {_NUMBER}", "衰减率 {0} 减衰减率 {1}"),
        (rf"step {_NUMBER}", "第 {0} 步"),
        (rf"seed {_NUMBER}", "种子 {0}"),
        (rf"epsilon {_NUMBER}", "epsilon {0}"),
        (rf"dropout {_NUMBER}", "dropout {0}"),
        (rf"{_NUMBER} images", "{0} 张图像"),
        (rf"ch\. {_NUMBER}", "通道 {0}"),
        (rf"batches of {_NUMBER}", "每批 {0} 张"),
        (rf"times gamma {_NUMBER}, plus beta {_NUMBER}", "乘以 gamma {0}，加上 beta {1}"),
        (rf"{_NUMBER} of {_NUMBER}", "{0} / {1}"),
        (
            rf"training steps to a test accuracy of {_NUMBER}, each arm at its best learning rate",
            "达到测试准确率 {0} 所需的训练步数，各取最佳学习率",
        ),
        (
            rf"seconds to a test accuracy of {_NUMBER}, each arm at its best learning rate",
            "达到测试准确率 {0} 所需的秒数，各取最佳学习率",
        ),
        (
            rf"is_training=False minus True, in test batches of {_NUMBER}, (shuffled|sorted by class)",
            "is_training=False 减 True，测试批大小 {0}，{1}",
        ),
        (r"(.+?) (against .+)", "{0}，{1}"),
        (r"(.+?), (.+)", "{0}，{1}"),
        (r"(.+),", "{0}，"),
        (r"(\w[^:]*): ?", "{0}："),
    )
)
_NAMES = {"sgd": "SGD", "adam": "Adam"}
_FACTOR = re.compile(r"([-+−]?[\d.,]+) ×( \[[^\]]*\])?")
_BETWEEN_TAGS = re.compile(r"(?<=>)[^<>]*\S[^<>]*(?=<)")
_LABEL_OF_FRAME = re.compile(r'(data-label=")([^"]*)(")')
_DRAWN = re.compile(r"(<text\b[^>]*>)([^<]*)(</text>)")


def chinese(label: str) -> str | None:
    """Return a label in Chinese; itself, where it has no words; None, where nobody wrote a translation."""
    if factor := _FACTOR.fullmatch(label):
        return f"{factor[1]} 倍{factor[2] or ''}"
    if not _WORD.search(label) or _HAN.search(label) or label in KEPT:
        return label
    if label in LABELS:
        return LABELS[label]
    if label in _NAMES:
        return _NAMES[label]
    for pattern, said in _PATTERNS:
        if found := pattern.fullmatch(label):
            parts = [chinese(part or "") for part in found.groups()]
            if None not in parts:
                return said.format(*parts)
    return None


def chinese_html(html: str) -> str:
    """Return HTML with every label in it, between tags or of a slider's frame, that has a translation."""
    html = _LABEL_OF_FRAME.sub(lambda label: label[1] + _escaped(label[2]) + label[3], html)
    return _BETWEEN_TAGS.sub(lambda text: _escaped(text[0]), html)


def chinese_svg(svg: str) -> str:
    """Return a drawing with every text in it that has a translation."""
    return _DRAWN.sub(lambda text: text[1] + _escaped(text[2]) + text[3], svg)


def _escaped(written: str) -> str:
    label = " ".join(unescape(written).split())
    said = chinese(label)
    if said is None or said == label:
        return written
    return escape(said, quote=False)
