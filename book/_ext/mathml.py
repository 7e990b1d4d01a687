"""Sphinx extension: formulas as MathML, which browsers draw by themselves: no script, no font, no wait."""

from __future__ import annotations

import re
from html import escape
from typing import Any, NoReturn

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.math import get_node_equation_number

# The converter has these tables by other names.
_TABLES = {"{aligned}": "{split}", "{gathered}": "{matrix}"}
# What it makes of a command, a column or a line that it doesn't know: letters and signs of the formula.
_UNKNOWN = re.compile(r'<mi>(?:\\[A-Za-z]*|&)</mi>|linebreak="newline"')


def to_mathml(formula: str, display: bool = False) -> str:
    """Return a formula of LaTeX's as a ``math`` element that keeps its source for whoever copies or reads it.

    Raises:
        ValueError: a command is none that the converter knows; it would stand in the page as it was written.
    """
    known = formula
    for name, other in _TABLES.items():
        known = known.replace(name, other)
    written = convert(known, display="block" if display else "inline")
    unknown = _UNKNOWN.search(written)
    if unknown:
        raise ValueError(f"formula {formula!r} becomes {unknown[0]}, which is no MathML; write it otherwise")
    opening, _, rest = written.partition(">")
    content = rest.removesuffix("</math>")
    source = escape(" ".join(formula.split()))
    annotation = f'<annotation encoding="application/x-tex">{source}</annotation>'
    return f"{opening}><semantics><mrow>{content}</mrow>{annotation}</semantics></math>"


def _inline(translator: Any, node: nodes.math) -> NoReturn:
    translator.body.append(translator.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    translator.body.append(to_mathml(node.astext()) + "</span>")
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> NoReturn:
    translator.body.append(translator.starttag(node, "div", CLASS="math notranslate nohighlight"))
    translator.body.append(to_mathml(node.astext(), display=True))
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
