"""What the package writes in English, as Chinese pages show it; and those pages around their text."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnstudy.analysis.chinese import chinese, chinese_html, chinese_svg
from bnstudy.analysis.chinese_labels import KEPT, LABELS
from bnstudy.chapters.claims import CLAIMS

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

import chinese_pages
import chinese_type

HAN = re.compile(r"[\u4e00-\u9fff]")


def test_each_label_has_a_translation_that_is_chinese_and_keeps_its_numbers():
    for english, said in LABELS.items():
        # An arrow says "then".
        assert HAN.search(said) or "→" in said, english
        assert re.findall(r"\d+(?:\.\d+)?", said) == re.findall(r"\d+(?:\.\d+)?", english)
        # A label as a cell, a legend or a heading has it ends as those do.
        assert said == said.strip()
        assert said[-1] not in "。."
        assert chinese(english) == said


def test_every_rule_s_words_are_there_in_chinese():
    for claim in CLAIMS:
        for rule in claim.rules:
            # A claim of one rule heads its column by itself.
            named = [f"{claim.id}: {rule.part}"] if len(claim.rules) > 1 else []
            for words in (rule.quantity, rule.contrast, *named):
                assert chinese(words) is not None, words


@pytest.mark.parametrize(
    ("english", "said"),
    [
        ("-1.7 percentage points [-3.5, -1.0]", "-1.7 个百分点 [-3.5, -1.0]"),
        ("above +0.5 percentage points", "高于 +0.5 个百分点"),
        ("above 2.00 ×", "高于 2.00 倍"),
        ("at least 6.75 × [3.12, 14.09]", "至少 6.75 倍 [3.12, 14.09]"),
        ("1.93 × [1.70, 2.20]", "1.93 倍 [1.70, 2.20]"),
        ("1 ×", "1 倍"),
        ("8 × 5 × 8", "8 × 5 × 8"),
        ("1,955 of 1,955", "1,955 / 1,955"),
        ("step 1,955", "第 1,955 步"),
        ("sgd 0.01", "SGD 0.01"),
        ("batch size 32, decay 0.999", "批大小 32，衰减率 0.999"),
        ("without batch norm, learning rate 0.003", "无批归一化，学习率 0.003"),
        ("no gamma, linear logits against gamma", "去掉 gamma，线性 logit，与有 gamma 相比"),
        ("Training so far: ", "已训练："),
        ("71.0 % [70.5, 71.5]", "71.0 % [70.5, 71.5]"),
        ("conv1", "conv1"),
        ("衰减率", "衰减率"),
        ("what nobody translated", None),
        ("decay 0.9 and what nobody translated", None),
    ],
)
def test_a_label_with_numbers_or_parts(english: str, said: str | None) -> None:
    assert chinese(english) == (said.strip() if said else said)
    # What is Chinese already stays.
    assert said is None or chinese(said) == said


@given(st.lists(st.integers(-999, 999).map(lambda n: f"{n / 10:+.1f}"), min_size=3, max_size=3))
def test_numbers_stay_as_they_are(numbers: list[str]) -> None:
    mean, low, high = numbers
    for unit, said in ((" percentage points", " 个百分点"), (" ×", " 倍"), ("", "")):
        assert chinese(f"{mean}{unit} [{low}, {high}]") == f"{mean}{said} [{low}, {high}]"


def test_html_and_drawings_keep_all_but_their_words():
    table = '<th title="seed">seed</th><td>&gt; 782</td><td>kept</td>'
    assert chinese_html(table) == '<th title="seed">随机种子</th><td>&gt; 782</td><td>kept</td>'
    frame = '<div class="frame" data-label="step 1,955"><p>step 1,955</p></div>'
    assert chinese_html(frame) == '<div class="frame" data-label="第 1,955 步"><p>第 1,955 步</p></div>'
    svg = '<style>*{stroke-linejoin: round}</style><g id="training step"><text x="1">training step</text></g>'
    assert chinese_svg(svg) == svg.replace(">training step<", ">训练步数<")


def test_no_name_is_both_kept_and_translated():
    assert not KEPT & set(LABELS)


LISTED = """<nav class="bd-links bd-docs-nav" aria-label="Main"><p><span>Answers</span></p><ul>
<li class="toctree-l1"><a class="reference internal" href="../log.html">Log</a></li>
<li class="toctree-l1"><a class="reference internal" href="../decay.html">Decay · C6, C7</a></li>
<li class="toctree-l1"><a class="reference internal" href="../knobs.html">The remaining arguments</a></li>
</ul><ul><li class="toctree-l1"><a class="reference internal" href="../changelog.html">Changelog</a></li>
<li class="toctree-l1 current active has-children"><a class="reference internal" href="../zh.html">批</a>
<details><ul>
<li class="toctree-l2 current active"><a class="current reference internal" href="#">衰减率 · C6、C7</a></li>
<li class="toctree-l2"><a class="reference internal" href="knobs.html">其余参数</a></li>
</ul></details></li></ul></nav>"""


def test_the_list_of_pages_has_each_page_once_and_in_chinese_if_it_is_there():
    titles = {"book/zh/decay": "衰减率 · C6、C7", "book/zh/knobs": "其余参数"}
    listed = chinese_pages.navigation(LISTED, "book/zh/decay", titles)
    links = re.findall(r'<a class="([^"]*)" href="([^"]*)"[^>]*>([^<]*)</a>', listed)
    assert links == [
        ("reference internal", "../log.html", "日志（英文）"),
        ("current reference internal", "#", "衰减率 · C6、C7"),
        ("reference internal", "knobs.html", "其余参数"),
        ("reference internal", "../changelog.html", "更新记录（英文）"),
    ]
    assert listed.count("<li") == listed.count("</li>") == 4
    # From the front page the same, and nothing there is the page itself.
    front = chinese_pages.navigation(
        LISTED.replace('"../', '"').replace('"#"', '"zh/decay.html"'), "book/zh", titles
    )
    assert 'href="zh/decay.html">衰减率' in front
    assert "active" not in front


def test_the_theme_s_words_change_and_a_page_s_own_do_not():
    page = (
        "<html><head><title>衰减率 &#8212; The book</title></head><body>"
        '<button title="Search">\n Search </button>'
        '<a class="navbar-brand logo" href="../index.html"><p class="title logo__title">The book</p></a>'
        f'{LISTED}<article><p>Search</p><article></article><a title="Link to this heading">#</a>'
        "<p>Dark</p></article>"
        '<p title="next page">next</p><p>\nBy The authors\n</p></body></html>'
    )
    said = chinese_pages.translate(page, "book/zh/decay", {"book/zh/decay": "衰减率"}, "The book")
    assert "<article><p>Search</p>" in said
    assert "<p>Dark</p></article>" in said
    assert '<a title="本节的链接">#</a>' in said
    assert '<button title="搜索">\n 搜索 </button>' in said
    assert '<p title="下一页">下一页</p>' in said
    assert "作者：The authors" in said
    assert "<title>衰减率 &#8212; 批归一化：实测</title>" in said
    assert (
        '<a class="navbar-brand logo" href="../zh.html"><p class="title logo__title">批归一化：实测<' in said
    )


def test_a_number_stays_with_its_unit_and_an_interval_with_both_its_ends():
    written = "<td>+1.02 个百分点 [+0.89, +1.14]</td><p>3.26 倍 [3.01, 3.53]，[a, b]，1, 2</p><td>0 / 5</td>"
    assert chinese_type.closed_up(written).replace("\u00a0", "_") == (
        "<td>+1.02_个百分点 [+0.89,_+1.14]</td><p>3.26_倍 [3.01,_3.53]，[a, b]，1, 2</p><td>0_/_5</td>"
    )


def test_a_cell_says_whether_its_chinese_is_a_word_or_a_phrase():
    table = '<table border="0" class="dataframe"><tr>{}</tr></table>'
    rate = "不发散的最大学习率"
    written = f"<th>训练成功</th><td><a title='{rate}'>3.1 倍</a></td><td>{rate}</td><td>0.3</td>"
    said = chinese_type.cells(table.format(written) + f"<td>{rate}</td>")
    assert [*re.findall(r"<t[dh]( [^>]*)?>", said)] == [' class="word"'] * 2 + [' class="phrase"', "", ""]
    assert re.sub(r' class="(word|phrase)"', "", said).startswith(table.format(written))


def test_a_page_s_foot_says_in_chinese_what_it_was_built_from():
    commit = "commit 0123456789, with uncommitted changes"
    built = f"Built from bnstudy 0.1.0 · {commit} · records 1718 (ab12) · benchmarks none"
    assert chinese_pages.say(built) == (
        "由 bnstudy 0.1.0 生成 · 提交 0123456789，含未提交的改动 · 1,718 条记录（ab12）· 没有基准测试"
    )


def test_a_chinese_page_has_no_space_behind_a_full_width_mark_and_no_percent_sign_by_itself():
    written = (
        "<p>成立<strong>。</strong> <span>高于 57.5 %</span>， 图也\n在（图 1）\n里。</p>\n"
        "<p title='甲， 乙'>甲； </p> <pre>甲， 1 %</pre><p>甲 <!-- it's， 乙 --> 乙</p>"
    )
    assert chinese_type.closed_up(written) == (
        "<p>成立<strong>。</strong><span>高于 57.5\u00a0%</span>，图也\n在（图 1）里。</p>\n"
        "<p title='甲， 乙'>甲；</p> <pre>甲， 1 %</pre><p>甲 <!-- it's， 乙 --> 乙</p>"
    )


def test_chinese_pages_search_in_chinese():
    form = '<form class="bd-search" action="{}search.html"><input placeholder="Search this book"></form>'
    page = (
        f"<html><body>{form.format('../../')}{LISTED}<article>{form.format('../../')}</article></body></html>"
    )
    said = chinese_pages.translate(page, "book/zh/decay", {}, "The book")
    assert '<form class="bd-search" action="../../search-zh.html"><input placeholder="搜索本书">' in said
    tools = '<script src="_static/searchtools.js?v=1"></script>'
    page = (
        '<html lang="en"><head><title>Search - The book</title></head><body>'
        f"{LISTED.replace('../', 'book/')}<main><h1>Search</h1>{form.format('')}</main>"
        f"{tools}</body></html>"
    )
    said = chinese_pages.search_page(page, {"book/zh/decay": "衰减率"}, "The book")
    assert said.startswith('<html lang="zh-Hans"><head><title>搜索 &#8212; 批归一化：实测</title>')
    assert (
        '<h1>搜索</h1><form class="bd-search" action="search-zh.html"><input placeholder="搜索本书">' in said
    )
    assert 'href="book/zh/decay.html">衰减率</a>' in said
    assert said.index("_static/translations-zh.js") < said.index("_static/searchtools.js")


def test_a_figure_with_words_gets_a_chinese_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text("<svg><text>seed</text></svg>")
    (tmp_path / "b.svg").write_text("<svg><text>0.9</text></svg>")
    html = '<img src="../../_images/a.svg"/><img src="../../_images/b.svg"/><img src="../../_images/c.svg"/>'
    assert chinese_pages.draw(html, tmp_path) == html.replace("a.svg", "a-zh.svg")
    assert (tmp_path / "a-zh.svg").read_text(encoding="utf-8") == "<svg><text>随机种子</text></svg>"
    assert (tmp_path / "a.svg").read_text() == "<svg><text>seed</text></svg>"


def test_every_english_page_is_called_something_in_chinese():
    listed = re.findall(r"file: (book/\S+)", (ROOT / "_toc.yml").read_text())
    there = {f"book/{path.stem}" for path in (ROOT / "book" / "zh").glob("*.md")}
    names = [page for page in listed if not page.startswith("book/zh") and page not in there]
    generated = {f"book/api/{name}" for name in ("doctor", "norm", "probes", "tf1")}
    assert not [page for page in names if page not in chinese_pages.PAGES and page not in generated]
