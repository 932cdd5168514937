"""What the reader makes of markup: no text is lost between tags, and meaning that markup carried comes as text."""

import pytest

from pipelines.extract.blocks import Span, read_blocks
from tests.pipelines.extract.pages import CLOSING, OPENING, lines_of, own_lines

LONG = "The gate is closed at night, and opened again when the sun stands over the hill in the east."


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<b>Monday</b> – <b>Friday</b>: open.", "Monday – Friday: open."),
        ("“<em>Walls</em>” is a book.", "“Walls” is a book."),
        ("<i>f</i>: <i>X</i> → <i>Y</i> is a map.", "f: X → Y is a map."),
        ("<b>5</b> € or <b>6</b> ₤ a yard.", "5 € or 6 ₤ a yard."),
        ("<b>東</b>京<i>へ</i>行く。", "東京へ行く。"),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>字を読む。", "漢字を読む。"),
        ("The fair is on <time datetime='2020-05-01'>1 May 2020</time> in town.", "The fair is on 1 May 2020 in town."),
        ("A<span>B</span>C and D<wbr>E.", "ABC and DE."),
        ("He said <q>it is <q>mine</q> now</q> and left.", "He said “it is ‘mine’ now” and left."),
        ("Sheep\u200b eat\u00ad ing\x07 grass.", "Sheep eat ing grass."),
        ("Icons <i>\ue001</i>are no text.", "Icons are no text."),
        ("a&lt;b&gt; &amp;amp; c\u00a0d.", "a<b> &amp; c d."),
    ],
)
def test_text_between_tags(markup, text):
    assert own_lines(f"<p>{markup}</p>") == [text]


@pytest.mark.parametrize(
    ("opening", "is_article"),
    [
        ("article", True),
        ('div class="entry-content wide"', True),
        ('section id="main-content"', True),
        ('div role="main"', True),
        ("div", False),
        ('div class="wide"', False),
        ('ul class="entry-content"', False),
    ],
)
def test_elements_that_may_be_around_the_article_are_noted(opening, is_article):
    name = opening.split()[0]
    reading = read_blocks(
        f"<body><p>{LONG}</p><{opening}><p>{LONG}</p><p>{LONG}</p></{name}><{opening}></{name}></body>"
    )
    assert reading.spans == ([Span(1, 3)] if is_article else [])
    assert [block.text for block in reading.blocks] == [LONG] * 3


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("6.02×10<sup>23</sup> parts", "6.02×10²³ parts"),
        ("2<sup>10</sup> is 1024", "2¹⁰ is 1024"),
        ("10<sup>-3</sup> m", "10⁻³ m"),
        ("an area of 5 m<sup>2</sup>", "an area of 5 m²"),
        ("2<sup>n</sup> sets", "2^n sets"),
        ("x<sup>n+1</sup> and e<sup>-x/2</sup>", "x^(n+1) and e^(-x/2)"),
        ("the 1<sup>st</sup> and 22<sup>nd</sup> gate", "the 1st and 22nd gate"),
        ("le 2<sup>e</sup> et M<sup>me</sup> X", "le 2e et Mme X"),
        ("H<sub>2</sub>O and CO<sub>2</sub>", "H2O and CO2"),
        ("log<sub>2</sub>8 is 3", "log₂8 is 3"),
        ("x<sub>i</sub> of x<sub>max</sub>", "x_i of x_max"),
        ("2<sup>1</sup>⁄<sub>2</sub> cups", "2 1/2 cups"),
        ("<sup>3</sup>/<sub>4</sub> of it", "3/4 of it"),
        ("1<span class='sr-only'>+</span><span>1</span>⁄<span>2</span> cups", "1 1⁄2 cups"),
        ("the fence<sup><a href='#fn1'>1</a></sup> stands", "the fence stands"),
        ("the fence<sup><a href='/on-fences#fn1'>1</a></sup> stands", "the fence stands"),
        ("the fence<sup>[<a href='#cite'>12</a>]</sup> stands", "the fence stands"),
    ],
)
def test_raised_and_lowered_text(markup, text):
    assert own_lines(f"<p>It is {markup}, said the man.</p>") == [f"It is {text}, said the man."]


@pytest.mark.parametrize(
    ("attributes", "items", "bullets"),
    [
        ("", ["", "", ""], "1. 2. 3. "),
        (' start="4"', ["", ""], "4. 5. "),
        (' start="0"', ["", ""], "0. 1. "),
        (' start="x"', ["", ""], "1. 2. "),
        ("", ["", ' value="7"', ""], "1. 7. 8. "),
        (' type="a" start="26"', ["", ""], "z. aa. "),
        (' type="I" start="3"', ["", "", ""], "III. IV. V. "),
        (' reversed start="3"', ["", ""], "3. 2. "),
    ],
)
def test_numbers_of_lists(attributes, items, bullets):
    body = "".join(f"<li{item}>Dig a hole.</li>" for item in items)
    assert "".join(line.removesuffix("Dig a hole.") for line in own_lines(f"<ol{attributes}>{body}</ol>")) == bullets


def test_nested_lists_go_on_counting():
    nested = "<ol><li>Dig<ul><li>with a spade</li></ul></li><li><p>Fill</p></li></ol>"
    assert own_lines(nested) == ["1. Dig", "• with a spade", "2. Fill"]


@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    if x:\n        return 1\n    return 2",
        "<span class='line'>def f(x):</span>\n<span class='line'>    return <b>x</b></span>",
        "def f(x):<br>    return x",
        "\n\tmake all\n\n\tmake check\n",
        "a &lt; b\n  &amp;&amp; c",
    ],
)
def test_preformatted_text_keeps_its_lines(code):
    for markup in (f"<pre><code>{code}</code></pre>", f"<figure class='highlight'><pre>{code}</pre></figure>"):
        got = own_lines(markup)
        assert got == [line for line in plain(code).split("\n") if line.strip()]


def plain(code):
    for mark, text in (("<br>", "\n"), ("&lt;", "<"), ("&amp;", "&"), ("<b>", ""), ("</b>", ""), ("</span>", "")):
        code = code.replace(mark, text)
    return code.replace("<span class='line'>", "")


def test_numbers_of_code_lines_go():
    code = (
        "<table><tr><td class='gutter'><pre>1\n2</pre></td><td class='code'><pre>a = 1\n  b = 2</pre></td></tr></table>"
    )
    assert own_lines(f"<figure class='highlight'>{code}</figure>") == ["a = 1", "  b = 2"]


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("<tr><th>Post</th><th>Price</th></tr><tr><td>Oak</td><td>12.50</td></tr>", ["Post Price", "Oak 12.50"]),
        ("<thead><tr><th>Post<th>Price<tbody><tr><td>Oak<td>12.50", ["Post Price", "Oak 12.50"]),
        ("<tr><td><p>Oak</p></td><td><p>12.50</p></td></tr>", ["Oak 12.50"]),
        ("<tr><td><div>Oak</div></td><td><div>12.50</div></td></tr>", ["Oak 12.50"]),
        ("<tr><td><a href='/oak'>Oak</a></td><td>12.50 a yard</td></tr>", ["Oak 12.50 a yard"]),
        ("<tr><td data-line-number='1'></td><td>return x + 1</td></tr>", ["return x + 1"]),
        ("<caption>Prices of posts</caption><tr><td>Oak</td><td>1</td></tr>", ["Prices of posts", "Oak 1"]),
    ],
)
@pytest.mark.parametrize(
    "wrapper", ["{}", "<figure class='wp-block-table'>{}</figure>", "<div class='scroll'>{}</div>"]
)
def test_rows_of_tables(table, rows, wrapper):
    assert own_lines(wrapper.format(f"<table>{table}</table>")) == rows


def test_terms_stay_with_their_definitions():
    terms = "<dl><dt>Rail</dt><dd>A bar between posts.</dd><dt><a href='/s'>Stile</a></dt><dd>Steps over it.</dd></dl>"
    assert own_lines(terms) == ["Rail", "A bar between posts.", "Stile", "Steps over it."]


@pytest.mark.parametrize("tag", ["p", "div", "blockquote"])
def test_verse_keeps_its_lines(tag):
    verse = "Something there is<br>that does not love<br />\na wall"
    assert own_lines(f"<{tag}>{verse}</{tag}>") == ["Something there is", "that does not love", "a wall"]


def test_two_breaks_end_a_paragraph():
    texts = [LONG, LONG.replace("gate", "door")]
    body = f"<main><div>{OPENING}</div><div>{texts[0]}<br>\n<br>{texts[1]}</div>{CLOSING}</main>"
    assert lines_of(f"<body>{body}")[3:5] == texts


@pytest.mark.parametrize(
    "wrapper", ["<main>{}</main>", "{}", "<div class=post>{}</div>", "<section><div>{}</div></section>"]
)
@pytest.mark.parametrize("kind", ["ul", "ol"])
def test_lists_stay_at_every_depth(wrapper, kind):
    body = f"<{kind}><li>Cut the old posts.</li><li>Paint the new rails.</li></{kind}>"
    assert [line.split(" ", 1)[1] for line in own_lines(body, wrapper)] == [
        "Cut the old posts.",
        "Paint the new rails.",
    ]


@pytest.mark.parametrize(
    "question",
    [
        "<h2><button class='accordion-button collapsed' aria-expanded='false'>{}</button></h2>",
        "<h3><button>{}</button></h3>",
        "<button class='accordion'>{}</button>",
        "<button type='button'>{}</button>",
        "<button data-bs-toggle='collapse' aria-controls='a1'><span>{}</span></button>",
        "<details><summary>{}</summary></details>",
        "<dl><dt><button>{}</button></dt></dl>",
    ],
)
def test_questions_in_buttons(question):
    answer = "You take a hammer and ten nails, and drive them into the rail."
    body = question.format("How do I mend a fence?") + f"<div class='panel'><p>{answer}</p></div>"
    assert own_lines(body) == ["How do I mend a fence?", answer]


@pytest.mark.parametrize("label", ["Send", "Menu", "Accept all", "Copy"])
def test_other_buttons_go(label):
    assert own_lines(f"<button>{label}</button>") == []


@pytest.mark.parametrize("attribute", ["shadowrootmode='open'", "shadowrootmode=closed", "shadowroot=open"])
def test_declarative_shadow_trees_are_shown(attribute):
    assert own_lines("", f"<my-page><template {attribute}><article>{{}}</article></template></my-page>") == []


def test_templates_are_not_shown():
    assert own_lines(f"<template><p>{LONG}</p></template>") == []
