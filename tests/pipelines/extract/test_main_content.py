"""The choice of the main content: wrappers, menus, tails, repeats, forgiven drops; and its measure on real pages."""

import pytest

from benchmarks.web.pages import precision_recall_f1, true_pages
from benchmarks.web.snippets import snippet_pages, snippet_score
from pipelines.extract.elements import may_be_article, reason_by_attributes, reason_by_name
from pipelines.extract.html import extract_main_text, extract_text, read_main_text
from tests.pipelines.extract.pages import CLOSING, OPENING, lines_of, own_lines, page

LONG = "The gate is closed at night, and opened again when the sun stands over the hill in the east."
MENU = '<ul><li><a href="/a">Sheep</a></li><li><a href="/b">Gates</a></li></ul>'
TEASERS = "".join(
    f'<div class="card"><h3><a href="/{i}">Ten sheep that went {i} miles</a></h3><a href="/{i}">More of it</a></div>'
    for i in range(3)
)
CLASSES = [
    "content-sidebar-wrap",
    "article_info",
    "post tag-newsletter",
    "post has-caption",
    "post category-comment",
    "sticky-post",
    "page layout-with-sidebar",
    "single no-sidebar comments-open",
    "node node-promoted node-sticky",
    "entry share",
    "post-12 type-post status-publish format-gallery tag-advertisement",
    "elementor-widget-wrap",
    "widget Blog",
    "print-only",
    "row gutter-x-30",
    "m-advertisement-off-canvas--pusher",
    "bdaia-logo-center bdaia-sidebar-right",
    "comment-story",
    "social-good",
    "menu-of-the-day",
    "related-work",
    "newsletter-issue",
    "cookie-policy",
    "search-results-page",
]


@pytest.mark.parametrize("names", CLASSES)
@pytest.mark.parametrize("element", ["article", "div", "section", "main", "form", "td"])
@pytest.mark.parametrize("attribute", ["class", "id"])
def test_an_article_stays_whatever_it_is_called(names, element, attribute):
    article = f'<{element} {attribute}="{names}">{{}}</{element}>'
    wrapper = f"<table><tr>{article}</tr></table>" if element == "td" else f"<div>{article}</div>"
    assert own_lines(f"<p>{LONG}</p>", wrapper) == [LONG]


@pytest.mark.parametrize(
    "names", ["sidebar", "related-posts", "site-footer", "cookie-banner", "nav-menu", "share-buttons"]
)
def test_junk_beside_an_article_goes(names):
    assert own_lines(f'<div class="{names}"><p>{LONG}</p></div>') == []


@pytest.mark.parametrize(
    ("element", "attributes", "reason"),
    [
        ("div", ' class="post-meta"', "meta"),
        ("div", ' class="entry-footer"', "footer"),
        ("div", ' class="relatedPosts"', "related"),
        ("div", ' class="post-12 post"', ""),
        ("div", ' class="d-none"', "hidden"),
        ("div", ' class="d-none d-md-block"', ""),
        ("div", ' class="hidden-xs"', ""),
        ("div", ' style="color: red; display : none"', "hidden"),
        ("div", ' style="background: none"', ""),
        ("div", ' hidden=""', "hidden"),
        ("div", ' role="navigation"', "navigation"),
        ("article", ' class="sidebar"', ""),
        ("blockquote", ' class="twitter-tweet"', ""),
        ("div", ' data-class="sidebar"', ""),
        ("nav", "", "nav"),
        ("p", "", ""),
    ],
)
def test_reasons_to_drop(element, attributes, reason):
    assert (
        reason_by_name(element, attributes, "", in_heading=False)
        if element == "nav"
        else reason_by_attributes(element, attributes)
    ) == reason


def test_elements_around_articles():
    assert may_be_article("article", "")
    assert may_be_article("div", ' itemprop="articleBody"')
    assert may_be_article("div", ' class="a entry-content b"')
    assert may_be_article("div", ' id="storyBody"')
    assert not may_be_article("div", ' class="post-meta"')


@pytest.mark.parametrize(
    "body",
    [
        "<div class='comment'><p>{0}</p></div><div class='comment'><p>{1}</p></div>",
        "<table class='comment-tree'><tr class='comtr'><td><div class='comment'>{0}</div></td></tr>"
        "<tr class='comtr'><td><div class='comment'>{1}</div></td></tr></table>",
        "<ul id='comments'><li class='reply'>{0}</li><li class='reply'>{1}</li></ul>",
        "<div id=root></div><noscript><div><p>{0}</p><p>{1}</p></div></noscript>",
        "<div hidden><p>{0}</p><p>{1}</p></div>",
        "<nav><p>{0}</p><p>{1}</p></nav>",
        "<div style='display:none' id=app><p>{0}</p><p>{1}</p></div>",
        "<aside><p>{0}</p></aside><aside><p>{1}</p></aside>",
    ],
)
def test_what_alone_has_text_is_forgiven_and_counted(body):
    texts = (LONG, LONG.replace("gate", "door"))
    text, outcome = read_main_text(f"<body>{body.format(*texts)}</body>")
    assert [line.removeprefix("• ") for line in text.split("\n")] == list(texts)
    assert outcome == "forgiven"


def test_comments_below_an_article_are_not_forgiven():
    comments = "".join(f"<div class='comment'><p>{LONG.replace('gate', f'gate {i}')}</p></div>" for i in range(60))
    body = "".join(f"<p>{LONG.replace('hill', f'hill {i}')}</p>" for i in range(12))
    text, outcome = read_main_text(page(body).replace("</main>", f"</main>{comments}"))
    assert outcome == "strict"
    assert "gate 3" not in text


def test_login_forms_are_not_forgiven():
    assert extract_main_text(f"<body><p>Fences.</p><div class='login'><p>{LONG}</p></div>") == "Fences."


def test_lists_stay_and_menus_go():
    items = "<ul><li>Cut the posts.</li><li>Paint the rails.</li></ul>"
    assert own_lines(f"{items}<h3>You may also like</h3>{MENU}") == ["• Cut the posts.", "• Paint the rails."]
    assert own_lines("<h3>From our pages</h3><p><a href='/x'>Sheep</a></p><p><a href='/y'>Gates</a></p>") == []
    assert own_lines(TEASERS) == []


@pytest.mark.parametrize("href", ["#s1", "https://fences.example/on-fences", "/on-fences"])
@pytest.mark.parametrize("level", [2, 3, 4, 5, 6])
def test_linked_headings_stay_with_their_text(href, level):
    heading = f'<h{level}><a href="{href}">Section one: wood</a></h{level}>'
    assert own_lines(f"{heading}<p>{LONG}</p>") == ["Section one: wood", LONG]
    assert own_lines(f"{heading}<ul><li>12 posts</li></ul>") == ["Section one: wood", "• 12 posts"]


def test_a_linked_sentence_among_text_stays():
    linked = f'<p><a href="/gate">{LONG}</a></p>'
    assert own_lines(linked) == [LONG]
    assert own_lines(linked + linked.replace("gate", "door")) == []


@pytest.mark.parametrize(
    "line",
    [
        "This is a very important line that is part of the article",
        "The parts of a fence:",
        "What is a fence?",
        "Fences, walls and hedges divide the land between the villages",
    ],
)
@pytest.mark.parametrize("tag", ["div", "section", "center"])
def test_bare_lines_among_paragraphs_stay(line, tag):
    assert own_lines(f"<{tag}>{line}</{tag}>") == [line]


@pytest.mark.parametrize("fragment", ["Photo: A. Shepherd", "12 May 2020", "Zoom in", "Fence Weekly"])
def test_bare_fragments_go(fragment):
    assert own_lines(f"<div>{fragment}</div>") == []
    bare = page(f"<div>{fragment}</div>").replace("<p>", "<div>").replace("</p>", "</div>")
    assert fragment in lines_of(bare)


@pytest.mark.parametrize(
    "markup", ["<ul><li>12 posts</li><li>24 rails</li></ul>", "<table><tr><td>12 posts<tr><td>24 rails</table>"]
)
def test_the_heading_of_the_last_list_stays(markup):
    body = f"<main><article>{OPENING}<h2>What you need</h2>{markup}</article></main>"
    assert [line.removeprefix("• ") for line in lines_of(body)[3:]] == ["What you need", "12 posts", "24 rails"]


def test_headings_behind_the_last_sentence_go():
    body = (
        f"<main><article>{OPENING}{CLOSING}<h3>More sheep</h3><div>Fence Weekly, Gate Street 1</div></article></main>"
    )
    assert len(lines_of(body)) == 4
    assert lines_of("<article><h1>Prices</h1><div>Posts 3</div><div>Rails 4</div></article>") == [
        "Prices",
        "Posts 3",
        "Rails 4",
    ]


@pytest.mark.parametrize(
    "wrapper", ["<div class='desktop'>{}</div><div class='mobile'>{}</div>", "<article>{}{}</article>"]
)
def test_text_is_never_doubled(wrapper):
    body = f"{OPENING}<h2>Wood</h2><ul><li>Oak</li><li>Pine</li></ul>{CLOSING}"
    once = lines_of(f"<body><article>{body}</article>")
    assert lines_of(f"<body>{wrapper.replace('{}', body)}") == once


def test_refrains_are_no_doubles():
    song = "".join(
        f"<p>The sun is up for the time number {i}.</p><p>And the gate, the gate is open.</p>" for i in range(4)
    )
    assert own_lines(song).count("And the gate, the gate is open.") == 4


def test_quoted_posts_and_written_addresses_stay():
    post = '<blockquote class="twitter-tweet"><p>My fence fell over.</p>— Shepherd (@s) May 1, 2020</blockquote>'
    address = '<p><a href="https://fences.example">https://fences.example</a></p>'
    found = own_lines(post + address)
    assert "My fence fell over." in found
    assert "https://fences.example" in found


def test_headline_and_lead_stand_above_the_article():
    lead = "A fence keeps the sheep in, and the walkers out of it, all year."
    article = f"<div class='article-body'>{(OPENING + CLOSING).removeprefix('<h1>On fences</h1>')}<p>{LONG}</p></div>"
    body = f"<h1>On fences</h1><div>12 May</div><p>{lead}</p>{article}"
    html = f"<body><nav>{MENU}</nav>{body}<div><p>{LONG} Other news.</p></div></body>"
    lines = lines_of(html)
    assert lines[:2] == ["On fences", lead]
    assert lines[-1] == LONG


def test_f1_on_real_news_pages(shared_data):
    """Precision and recall of 4-token shingles, averaged over the pages, then their harmonic mean."""
    shared_data("html_truth/ground_truth.json")
    pages = true_pages()
    _, recall, f1 = precision_recall_f1(pages, [extract_text(page.html) or "" for page in pages])
    assert len(pages) == 92
    assert f1 >= 0.955
    assert recall >= 0.975


def test_f1_on_pages_of_all_kinds(shared_data):
    """Snippets that the text must and must not have; no page is empty."""
    shared_data("html_snippets/truth.json")
    pages = snippet_pages()
    score = snippet_score(pages, [extract_text(page.html) or "" for page in pages])
    assert len(pages) == 482
    assert score.f1 >= 0.94
    assert score.num_empty == 0
