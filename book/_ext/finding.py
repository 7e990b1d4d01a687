"""Sphinx extension: the search finds numbers as they are written, and Chinese by pairs of characters."""

from __future__ import annotations

import re
from typing import Any

from sphinx.search.en import SearchEnglish

_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
# A number with its point, a stretch of Chinese, a word.
_TOKEN = re.compile(rf"\d+(?:\.\d+)+|[{_HAN}]+|[^\W{_HAN}]+")


class SearchBook(SearchEnglish):
    """English words, decimal numbers whole, and of Chinese, which has no spaces, every two neighbours."""

    js_splitter_code = (
        "function splitQuery(query) {\n"
        f"  const token = /\\d+(?:\\.\\d+)+|[{_HAN}]+|(?:(?![{_HAN}])[\\p{{L}}\\p{{N}}_])+/gu;\n"
        "  const tokens = query.match(token) || [];\n"
        "  return tokens.flatMap((token) =>\n"
        f"    /^[{_HAN}]{{3,}}$/u.test(token)\n"
        "      ? [...token].slice(1).map((sign, i) => [...token][i] + sign)\n"
        "      : [token]\n"
        "  );\n"
        "}\n"
    )

    def split(self, input: str) -> list[str]:
        """Return the words of a text, as ``splitQuery`` does those of a question."""
        found = []
        for token in _TOKEN.findall(input):
            if len(token) > 2 and re.fullmatch(f"[{_HAN}]+", token):
                found += [token[i : i + 2] for i in range(len(token) - 1)]
            else:
                found.append(token)
        return found


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_search_language(SearchBook)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
