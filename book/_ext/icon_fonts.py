"""The theme's icon fonts, cut down to the icons that its style sheets still name."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from fontTools.subset import Options, Subsetter, load_font, save_font
from fontTools.ttLib import TTFont

# It tells each table that it cuts.
logging.getLogger("fontTools").setLevel(logging.WARNING)

_FACE = re.compile(r"@font-face\{[^{}]*\}")
_FILE = re.compile(r"url\(([^)]*?)([\w-]+)\.ttf\)")
_SOURCE = re.compile(r"src:[^;}]*")
# Icons lie where Unicode leaves room for anybody's own.
_SIGN = re.compile(r"\\([ef][0-9a-f]{3})\b")


def cut_fonts(sheet: Path, sheets: Iterable[Path]) -> None:
    """Replace the fonts of ``sheet`` by those of their icons that ``sheets`` name; a font without any goes.

    The fonts lie beside the style sheet as TrueType, and are written as WOFF, which every browser reads.
    """
    named = {int(sign, 16) for path in sheets for sign in _SIGN.findall(path.read_text(encoding="utf-8"))}

    def cut(face: re.Match[str]) -> str:
        file = _FILE.search(face[0])
        if file is None:
            return face[0]
        whole = sheet.parent / file[1] / f"{file[2]}.ttf"
        size = _subset(whole, whole.with_suffix(".woff"), named)
        return _SOURCE.sub(f'src:url({file[1]}{file[2]}.woff) format("woff")', face[0]) if size else ""

    text = _FACE.sub(cut, sheet.read_text(encoding="utf-8"))
    sheet.write_text(text, encoding="utf-8")


def _subset(whole: Path, part: Path, signs: set[int]) -> int:
    """Write a font of some signs; return how many of them it has, and write nothing if it has none."""
    options = Options(flavor="woff", layout_features=[], notdef_outline=True)
    font: TTFont = load_font(str(whole), options)
    there = signs & set(font.getBestCmap())
    if there:
        subsetter = Subsetter(options)
        subsetter.populate(unicodes=there)
        subsetter.subset(font)
        save_font(font, str(part), options)
    return len(there)
