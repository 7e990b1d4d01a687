"""The rules of a style sheet that a site can need: those whose classes are written somewhere in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_CLASS = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
_WORD = re.compile(r"[A-Za-z_][\w-]*")
_STRING = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|url\([^\"')][^)]*\)|/\*.*?\*/", re.S)
# Rules in rules.
_NESTING = ("@media", "@supports", "@layer", "@container")


def used(sheet: str, pages: Iterable[str], prefixes: tuple[str, ...] = ()) -> str:
    """Return ``sheet`` without the selectors that name a class which ``pages`` don't have.

    ``pages`` are the texts of the site's pages and scripts: a class that a script sets is a word of it. One
    that begins with one of ``prefixes`` is kept. Licences in comments (``/*!``) are kept too.
    """
    words = {word for page in pages for word in _WORD.findall(page)}
    return "".join(_kept(sheet, words, prefixes))


def _kept(sheet: str, words: set[str], prefixes: tuple[str, ...]) -> Iterator[str]:
    for head, body in _rules(sheet):
        bare = re.sub(r"/\*.*?\*/", "", head, flags=re.S).strip()
        licence = "".join(re.findall(r"/\*!.*?\*/", head, re.S))
        if body is None:
            yield head
        elif bare.startswith(_NESTING):
            within = "".join(_kept(body, words, prefixes))
            yield licence + (f"{bare}{{{within}}}" if within else "")
        elif bare.startswith("@"):
            yield f"{licence}{bare}{{{body}}}"
        else:
            selectors = [s for s in _split(bare) if _wanted(s, words, prefixes)]
            yield licence + (f"{','.join(selectors)}{{{body}}}" if selectors else "")


def _wanted(selector: str, words: set[str], prefixes: tuple[str, ...]) -> bool:
    # What stands in :not() or beside others in :is() need not be there.
    plain = re.sub(r":(?:not|is|where|has)\((?:[^()]|\([^()]*\))*\)", "", selector)
    return all(name in words or name.startswith(prefixes) for name in _CLASS.findall(plain))


def _split(selectors: str) -> list[str]:
    """Split a list of selectors at the commas that stand in no brackets."""
    found, depth, start = [], 0, 0
    for at, sign in enumerate(selectors):
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and depth == 0:
            found.append(selectors[start:at])
            start = at + 1
    return [*found, selectors[start:]]


def _rules(sheet: str) -> Iterator[tuple[str, str | None]]:
    """Yield each rule's head and what is between its braces; None for a statement that has none."""
    # Braces in strings, addresses and comments are no braces.
    masked = _STRING.sub(lambda string: re.sub(r"[{};]", "_", string[0]), sheet)
    start = depth = opened = 0
    for sign in re.finditer(r"[{};]", masked):
        at = sign.start()
        if sign[0] == "{":
            opened = at if depth == 0 else opened
            depth += 1
        elif sign[0] == "}":
            depth -= 1
            if depth == 0:
                yield sheet[start:opened], sheet[opened + 1 : at]
                start = at + 1
        elif depth == 0:
            yield sheet[start : at + 1], None
            start = at + 1
