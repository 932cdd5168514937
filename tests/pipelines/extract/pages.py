"""A page around a body: the frame of most tests of extraction."""

from pipelines.extract.html import extract_main_text

OPENING = (
    "<h1>On fences</h1><p>A fence keeps sheep in a field, and walkers out of it, in every season of the year, and "
    "that is why farmers build them with care.</p><p>It takes a week to build a hundred yards of it, and a good deal "
    "of patience, says the old man who has done so for forty years.</p>"
)
CLOSING = (
    "<p>Then all of it is done, and the old farmer goes home to his supper and his warm stove, and does not think of "
    "fences until spring.</p>"
)
_FRAME = ("On fences", "A fence keeps", "It takes a week", "Then all of it")


def page(body, wrapper="<main><article>{}</article></main>"):
    """A page whose article has `body` between its opening and its closing."""
    article = wrapper.replace("{}", OPENING + body + CLOSING)
    return f"<!DOCTYPE html><html><head><meta charset=utf-8><title>Fences</title></head><body>{article}</body></html>"


def lines_of(html):
    """The lines of the main text."""
    text = extract_main_text(html)
    return text.split("\n") if text else []


def own_lines(body, wrapper="<main><article>{}</article></main>"):
    """The lines that come from `body`, once the frame is found around them."""
    lines = lines_of(page(body, wrapper))
    assert sum(line.startswith(_FRAME) for line in lines) == len(_FRAME)
    return [line for line in lines if not line.startswith(_FRAME)]
