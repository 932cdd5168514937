"""The second look at main content: lists, links, furniture, tails; and its measure on real pages."""

import gzip
import json
import re
from collections import Counter

import pytest

from pipelines.extract.blocks import Block, candidate_blocks, page_body
from pipelines.extract.html import extract_text
from pipelines.extract.main_content import main_blocks

INTRODUCTION = (
    "<h1>On fences</h1><p>A fence keeps sheep in a field, and walkers out of it, in every season of the year.</p>"
)
END = "<p>Then all of it is done, and the old farmer goes home to his supper and his warm stove.</p>"


def lines(body):
    return [block.bullet + block.text for block in main_blocks(f"<html><body><main>{body}</main></body></html>")]


def test_lists_stay_and_menus_go():
    items = "<ul><li>Cut the posts.</li><li>Paint the rails.</li></ul>"
    menu = '<ul><li><a href="/a">Sheep</a></li><li><a href="/b">Gates</a></li></ul>'
    found = lines(f"<article>{INTRODUCTION}{items}<h3>You may also like</h3>{menu}{END}</article>")
    assert found[2:4] == ["• Cut the posts.", "• Paint the rails."]
    assert len(found) == 5
    assert found[4].startswith("Then all of it")


def test_ordered_and_nested_lists():
    nested = "<ol><li>Dig<ul><li>with a spade</li></ul></li><li>Fill</li></ol>"
    assert lines(f"<article>{INTRODUCTION}{nested}{END}</article>")[2:5] == ["1. Dig", "• with a spade", "2. Fill"]


@pytest.mark.parametrize(
    "furniture",
    [
        "We use cookies. By going on you agree to our policy.",
        "ADVERTISEMENT",
        "Share this",
        "© 2024 Fence Weekly. All rights reserved.",
        "Read more about sheep",
    ],
)
def test_furniture_goes(furniture):
    found = lines(f"<article>{INTRODUCTION}<p>{furniture}</p>{END}</article>")
    assert len(found) == 3
    assert not any(furniture in line for line in found)


@pytest.mark.parametrize(
    "sentence",
    [
        "She shared her cookies with the sheep.",
        "Copyrighted fences are not a thing, said the old farmer, and he laughed about it. " * 5,
        'The <a href="/x">ministry of fences and gates</a> was asked.',
    ],
)
def test_sentences_stay(sentence):
    assert len(lines(f"<article>{INTRODUCTION}<p>{sentence}</p>{END}</article>")) == 4


def test_what_stands_behind_the_last_sentence():
    found = lines(f"<article>{INTRODUCTION}{END}<h3>More sheep</h3><div>Fence Weekly, Gate Street 1</div></article>")
    assert len(found) == 3
    assert lines("<article><h1>Prices</h1><div>Posts 3</div><div>Rails 4</div></article>") == [
        "Prices",
        "Posts 3",
        "Rails 4",
    ]


def test_bare_fragments_and_teasers_go_where_paragraphs_are_marked_up():
    caption, teaser = "<div>Photo: A. Shepherd</div>", "<div>A gate of five bars was stolen on Monday night.</div>"
    found = lines(f"<article>{INTRODUCTION}{caption}{END}{teaser}</article>")
    assert len(found) == 3
    bare = f"<div>{INTRODUCTION[len('<h1>On fences</h1><p>') : -len('</p>')]}</div>"
    assert "Photo: A. Shepherd" in lines(f"<article>{bare}{caption}{bare}</article>")


@pytest.mark.parametrize(
    "closing",
    [
        "Our newsletter tells you more of fences, gates and stiles.",
        "A. Shepherd contributed to this report from the field.",
        "Follow her @shepherd for more.",
    ],
)
def test_what_closes_a_page_goes_at_its_end_only(closing):
    body = END * 6
    assert len(lines(f"<article>{INTRODUCTION}{body}<p>{closing}</p></article>")) == 8
    assert len(lines(f"<article>{INTRODUCTION}<p>{closing}</p>{body}</article>")) == 9


def test_quoted_posts_and_written_addresses_stay():
    post = '<blockquote class="twitter-tweet"><p>My fence fell over.</p>— Shepherd (@s) May 1, 2020</blockquote>'
    address = '<p><a href="https://fences.example">https://fences.example</a></p>'
    found = lines(f"<article>{INTRODUCTION}{post}{address}{END}</article>")
    assert "My fence fell over." in found
    assert "https://fences.example" in found


@pytest.mark.parametrize("doctype", ["", "<!DOCTYPE html>"])
@pytest.mark.parametrize(
    "head",
    [
        "<title>Fences</title><script>var a = '<p>no</p>';</script>",
        "<script>document.write('<html><head></head><body>')</script>",
        "<!-- <head></head><body> --><style>p {}</style>",
    ],
)
def test_the_head_of_a_page_changes_nothing(doctype, head):
    article = f"<article>{INTRODUCTION}<p>One<table><tr><td>cell</table>{END}</article>"
    page = f"{doctype}<html><head>{head}</head>\n<body class='a'>{article}</body></html>"
    assert page_body(page) in (page, f"{doctype}<body class='a'>{article}</body></html>")
    assert candidate_blocks(page) == candidate_blocks(page.replace("</head>\n<body", "</head>\n<p hidden></p><body"))


def test_markup_in_text_is_text():
    sentence = "Write <a href='x\"y<z>'>&lt;b&gt;</a> &amp;amp; then go on with the other things."
    blocks = list(candidate_blocks(f"<article>{INTRODUCTION}<p>{sentence}</p>{END}</article>"))
    assert blocks[2] == Block("p", "Write <b> &amp; then go on with the other things.", 3)


def shingles(text):
    tokens = re.findall(r"\w+", text)
    width = min(4, max(1, len(tokens)))
    return Counter(tuple(tokens[i : i + width]) for i in range(len(tokens) - width + 1)) if tokens else Counter()


def test_f1_on_real_news_pages(shared_data):
    """Precision and recall of 4-token shingles, averaged over the pages, then their harmonic mean."""
    folder = shared_data("html_truth/ground_truth.json").parent
    truth = json.loads((folder / "ground_truth.json").read_text())
    precision = recall = 0.0
    for name, entry in truth.items():
        page = gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes())
        expected, found = shingles(entry["articleBody"]), shingles(extract_text(page) or "")
        shared = (expected & found).total()
        precision += shared / max(1, found.total()) / len(truth)
        recall += shared / max(1, expected.total()) / len(truth)
    assert len(truth) == 92
    assert 2 * precision * recall / (precision + recall) >= 0.955
    assert recall >= 0.975
