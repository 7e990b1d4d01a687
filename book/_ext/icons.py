"""The icons that a site uses, cut out of the theme's script of all of Font Awesome, as a style sheet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

_NAME = re.compile(r"\bfa-([a-z0-9-]+)")
_HEAD = """\
/* Icons of Font Awesome Free (CC BY 4.0, https://fontawesome.com/license/free), those that this site uses. */
:is(.fas,.far,.fab,.fa,.fa-solid,.fa-regular,.fa-brands){display:inline-block;line-height:1}
:is(.fas,.far,.fab,.fa,.fa-solid,.fa-regular,.fa-brands)::before{content:"";display:inline-block;width:1em;\
height:1em;vertical-align:-.125em;background:currentColor;-webkit-mask:var(--icon) center/contain no-repeat;\
mask:var(--icon) center/contain no-repeat}
.fa-lg{font-size:1.25em;line-height:.05em;vertical-align:-.075em}
"""


def icon_sheet(script: str, pages: Iterable[str]) -> str:
    """Return a style sheet that draws the icons whose names stand in ``pages``, drawn as in ``script``.

    An ``<i class="fas fa-name">`` has its drawing as a mask, so that it takes the colour of the text.
    """
    names = sorted({name for page in pages for name in _NAME.findall(page)})
    found = {name: _address(script, name) for name in names}
    drawn = [f'.fa-{name}{{--icon:url("{address}")}}' for name, address in found.items() if address]
    return _HEAD + "\n".join(drawn) + "\n"


def _address(script: str, name: str) -> str | None:
    # A drawing is [width, height, [other names], character, path], as JavaScript writes it. The set of filled
    # ones comes last.
    drawing = r'\[(\d+),(\d+),\[{others}\],"[^"]*",("(?:[^"\\]|\\.)*")\]'
    own = re.findall(rf'[{{,]"?{name}"?:' + drawing.format(others=r"[^\]]*"), script)
    other = own or re.findall(r":" + drawing.format(others=rf'[^\]]*"{name}"[^\]]*'), script)
    if not other:
        return None
    width, height, path = other[-1]
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><path d={path}/></svg>'
    return "data:image/svg+xml," + quote(svg.replace('"', "'"), safe=" =:/'")
