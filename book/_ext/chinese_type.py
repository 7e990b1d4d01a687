"""How Chinese text is set: where there is no space, where no line ends, how narrow a table's cell may be."""

from __future__ import annotations

import re

_PIECES = re.compile(r"""<!--.*?-->|<(?:[^<>"']|"[^"]*"|'[^']*')*>|[^<]+""", re.S)
_TAG = re.compile(r"<(/?)([a-z0-9]*)")
# What is shown as it is written, and what goes on in the line in which it stands.
_VERBATIM = {"pre", "code", "script", "style", "svg", "textarea", "math"}
_INLINE = {"a", "b", "em", "i", "span", "strong"}
_MARKS = "，。：；、？！）"
_HOLE = re.compile(rf"(?<=[{_MARKS}])\s+")
# A number keeps its "%" and its unit, an interval both its ends, and so many of so many all of it.
_UNBROKEN = re.compile(r"(?<=\d) (?=[%倍个]|/ \d)|(?<=\d /) (?=\d)|(?<=\d,) (?=[-+−]?[\d.]+\])")
_TABLE = re.compile(r'<table[^>]*class="dataframe.*?</table>', re.S)
_CELL = re.compile(r"<(t[hd])>(.*?)</\1>", re.S)
_HAN = re.compile(r"[\u4e00-\u9fff]")
# So many characters stand in one line; a cell of more is at least as wide as a phrase of six.
_FEW = 5


def closed_up(html: str) -> str:
    """Return HTML without spaces behind full-width marks, in which numbers and their units stay together.

    Such a mark has its space within. They come from lines that end in the source, and from sentences that
    are joined as English ones are.
    """
    pieces, kept, behind_mark = [], 0, False
    for piece in _PIECES.findall(html):
        if piece.startswith("<"):
            closing, tag = _TAG.match(piece).groups()
            if tag in _VERBATIM:
                kept += -1 if closing else 1
            behind_mark = behind_mark and tag in _INLINE
        elif not kept:
            if behind_mark:
                piece = piece.lstrip()
            piece = _UNBROKEN.sub("\u00a0", _HOLE.sub("", piece))
            behind_mark = piece[-1] in _MARKS if piece else behind_mark
        pieces.append(piece)
    return "".join(pieces)


def cells(html: str) -> str:
    """Return HTML whose tables' cells say whether their Chinese is a word or a phrase.

    Chinese breaks between any two characters: a crowded column would have one of them a line.
    """
    return _TABLE.sub(lambda table: _CELL.sub(_cell, table[0]), html)


def _cell(cell: re.Match[str]) -> str:
    count = len(_HAN.findall(re.sub(r"<[^>]*>", "", cell[2])))
    if not count:
        return cell[0]
    return f'<{cell[1]} class="{"word" if count <= _FEW else "phrase"}">{cell[2]}</{cell[1]}>'
