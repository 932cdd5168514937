"""Documents that a careless reader cuts or parses wrongly."""

import itertools
import time

import pytest

from pipelines.extract.cutting import costs_of, cut_markup
from pipelines.extract.html import extract_main_text, extract_text
from pipelines.extract.markup import TAG, VOID_ELEMENTS, body_markup, xhtml_as_html
from tests.pipelines.extract.pages import CLOSING, OPENING, lines_of, own_lines

NUM_LINES = 4
NAMESPACE = "http://www.w3.org/1999/xhtml"


@pytest.mark.parametrize(
    "element",
    [
        "script src='x.js'",
        "style",
        "title",
        "textarea",
        "iframe src='x'",
        "div",
        "span",
        "a id='top'",
        "p",
        "td",
        "option",
    ],
)
@pytest.mark.parametrize("place", ["head", "body"])
def test_elements_of_xhtml_close_themselves(element, place):
    head, body = (f"<{element}/>", "") if place == "head" else ("", f"<{element} />")
    html = f"<html xmlns='{NAMESPACE}'><head>{head}</head><body>{body}<div>{OPENING}{CLOSING}</div></body></html>"
    served = extract_text(html.encode(), content_type="application/xhtml+xml; charset=utf-8")
    declared = extract_text(f'<?xml version="1.0"?>\n{html}'.encode())
    assert served is not None
    assert served == declared
    assert len(served.split("\n")) == NUM_LINES


def test_xhtml_as_html():
    for name in VOID_ELEMENTS:
        assert xhtml_as_html(f"<{name} a='1'/>") == f"<{name} a='1'/>"
    assert xhtml_as_html("<p><![CDATA[a < b]]></p><!-- <div/> -->") == "<p>a &lt; b</p><!-- <div/> -->"
    assert xhtml_as_html("<script>if (a<b/c) '<div/>'</script><i/>") == "<script>if (a<b/c) '<div/>'</script><i></i>"
    assert xhtml_as_html('<svg:path d="a/>b"/>') == '<svg:path d="a/>b"></svg:path>'
    assert xhtml_as_html("a < b / c > d") == "a < b / c > d"


@pytest.mark.parametrize(
    "html",
    [
        f"<html><body><article>{OPENING}{CLOSING}</article><html><head><title>f</title></head><body><div>Foot</div></body>",
        f"<div>{OPENING}{CLOSING}</div></body></html><html><head></head><body></body></html>",
        f"<html><head></head><body><div>{OPENING}</div></body></html><html><head></head><body>{CLOSING}</body></html>",
        f"<body><textarea></head><body><p>{'no ' * 90}.</p></body></textarea><main>{OPENING}{CLOSING}</main>",
        f"<body><main>{OPENING}<textarea></head><body>{'no ' * 90}</textarea>{CLOSING}</main>",
        f"<body><main>{OPENING}<!-- </head><body> <p>no</p> -->{CLOSING}</main>",
        f"<body><main>{OPENING}<script>document.write('</head><body><p>no</p>')</script>{CLOSING}</main>",
        f"<body><main>{OPENING}<script><!-- <p>no</p> --></script><style>/*<p>no*/</style>{CLOSING}</main>",
        f"<body><main title='</head><body>'>{OPENING}<iframe><p>no</p></iframe>{CLOSING}</main>",
        f"{OPENING}{CLOSING}",
        f"<frameset><frame src=x></frameset><noframes><body>{OPENING}{CLOSING}</body></noframes>",
    ],
)
def test_documents_with_a_second_head(html):
    lines = lines_of(html)
    assert len(lines) >= NUM_LINES
    assert lines[0] == "On fences"
    assert lines[3].startswith("Then all of it")
    assert not any("no" in line.split() for line in lines if "deal" not in line)


def test_tags_are_regular():
    html = body_markup(
        "<p title='a>b' x=\"<q>\">c<!-- > <i> --><br>d<A:b>e</A:b><script>'</p>'</script>f<xmp><i></xmp>"
    )
    tags = TAG.findall(cut_markup(html).markup)
    assert "".join(text for *_, text in tags) == "cdef&lt;i&gt;"
    assert [name for name, _, _ in tags] == ["body", "p", "br", "a:b", "/a:b", "/p", "pre", "/pre", "/body"]
    assert not any("<" in attributes or ">" in attributes for _, attributes, _ in tags)


@pytest.mark.parametrize(
    "inside",
    [
        "<div>a</div>b",
        "<script>'</div></div>'</script>",
        "<!-- </div></div> -->",
        "<divider>a</divider>",
        "<svg><svg></svg><title></title></svg>",
        "<style></div></style><noscript><div>x</div></noscript>",
    ],
)
def test_an_element_is_cut_to_its_end(inside):
    html = body_markup(f"<p>before</p><div class='sidebar'>{inside}</div><p>behind</p>")
    cut = cut_markup(html)
    (dropped,) = cut.dropped
    assert cut.markup == "<body><p>before</p><p>behind</p></body>"
    assert html[dropped.start : dropped.stop].endswith("</div>")
    assert cut_markup(html, {"sidebar"}).dropped == cut_markup(html, {dropped.start}).dropped


NESTED = (
    "<div class=sidebar>a<div class=share>b<script>'</div>'</script></div>1<nav>c</nav><p class=share>2</p>d</div>"
    "3<aside>e<div class=share>f</div></aside>4<div class=share>g<div class=sidebar>h</div></div><svg><title>i"
)


@pytest.mark.parametrize("order", list(itertools.permutations(["sidebar", "share", "nav", "aside"])))
def test_a_cut_of_what_an_earlier_cut_dropped_is_that_of_the_whole(order):
    html = body_markup(NESTED)
    forgiven, cut = set(), cut_markup(html)
    for reason in (*order, next(each.start for each in cut.dropped if each.reason == "svg")):
        forgiven.add(reason)
        cut = cut_markup(html, forgiven, cut)
        assert (cut.markup, cut.dropped) == (cut_markup(html, forgiven).markup, cut_markup(html, forgiven).dropped)
    assert [each.reason for each in cut.dropped] == ["title"]


def test_costs_are_running_text_outside_of_links():
    words = "a gate of five bars, " * 5
    html = body_markup(
        f"<div class=sidebar>{words}<script>{words}</script><a href=x>{words}</a><p>short</p></div>"
        f"<div class=sidebar><p>{words}{words}</p></div><nav>{words}</nav>"
    )
    costs = costs_of(html, cut_markup(html).dropped)
    assert {reason: cost.num_characters for reason, cost in costs.items()} == {
        "sidebar": 3 * len(words),
        "nav": len(words),
    }
    assert costs["sidebar"].largest == 2 * len(words)
    assert html.startswith('<div class="sidebar"><p>', costs["sidebar"].start)


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    "attack",
    [
        "<!--",
        "<!-- -",
        "<script>",
        "<script><",
        "<svg><",
        "<p a=",
        "<i/ ",
        "<a b='",
        "<![CDATA[",
        "<style",
        "<x/>",
        "</",
    ],
)
def test_patterns_are_linear(attack):
    html = attack * (200_000 // len(attack))
    start = time.process_time()
    xhtml_as_html(html)
    assert time.process_time() - start < 1.0


def test_deep_nesting_takes_linear_time():
    start = time.process_time()
    assert extract_main_text("<div>" * 100_000 + "<p>deep</p>") == "deep"
    assert time.process_time() - start < 5.0


def test_own_lines_sees_what_is_added():
    assert own_lines("<p>Something else is written here.</p>") == ["Something else is written here."]
