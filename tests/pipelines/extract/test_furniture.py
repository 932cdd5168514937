"""Boilerplate wording: boilerplate is removed, sentences with similar beginnings are kept."""

import pytest

from pipelines.extract.blocks import Block
from pipelines.extract.furniture import closes_page, is_furniture
from tests.pipelines.extract.pages import own_lines

SENTENCES = [
    "Log in to the server as root and start the daemon again.",
    "Sign in with the key that you made a minute ago.",
    "Register the handler before the loop begins.",
    "Subscribe your class to the events of the queue.",
    "Save your work in a second folder before you go on.",
    "Print the list of all sheep, then count them by hand.",
    "Pin the pattern to the cloth along the edge.",
    "Share the bread among the guests while it is warm.",
    "Tweet is what the bird does, and nothing else.",
    "Follow the wall to its end and turn left there.",
    "Copyright law protects the works of shepherds too.",
    "Advertisement was a young craft when the paper was founded.",
    "Sponsored by the county, the fence was built in two years.",
    "Related languages have the same word for a gate.",
    "Recommended doses are printed on the label of the box.",
    "Most popular uprisings began with a closed road.",
    "More in the north than in the south, walls divide the land.",
    "Read more books than you buy, my teacher said.",
    "Load more weight on the left side of the cart.",
    "Comments in the code say why, and not what.",
    "You may also like to know how deep a post must stand.",
    "Weitere Zäune stehen am Rand des Dorfes.",
    "Teilen ist eine Tugend, die man früh lernt.",
    "Take the cookies out of the oven, and continue to cool them on a rack.",
    "The police found nothing but a bag of cookies and some milk.",
    "Our cookies are baked with butter, and we agree that they are the best.",
]


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("tag", ["p", "li"])
def test_sentences_stay_whatever_their_first_words(sentence, tag):
    body = f"<p>{sentence}</p>" if tag == "p" else f"<ul><li>{sentence}</li><li>Then rest.</li></ul>"
    assert own_lines(body)[0].removeprefix("• ") == sentence


@pytest.mark.parametrize(
    "heading", ["Related work", "Copyright", "Follow the wall", "Register", "Comments and strings", "Save and load"]
)
def test_headings_with_text_behind_them_stay(heading):
    text = "The other shepherds of the valley have written about this before, and so have we."
    assert own_lines(f"<h2>{heading}</h2><p>{text}</p>") == [heading, text]


@pytest.mark.parametrize(
    "furniture",
    [
        "<p>We use cookies to improve your experience. By going on you agree to our policy.</p>",
        "<p>Diese Website verwendet Cookies. Mit der Nutzung sind Sie einverstanden.</p>",
        "<p>ADVERTISEMENT</p>",
        "<div>Anzeige</div>",
        "<p>Share this:</p>",
        "<p>© 2024 Fence Weekly. All rights reserved.</p>",
        "<p>Alle Rechte vorbehalten.</p>",
        "<p>Read more about sheep</p>",
        '<p>Read also: <a href="/x">How the shepherds of the north count their sheep at night.</a></p>',
        '<p>Lesen Sie auch: <a href="/x">Wie die Hirten im Norden ihre Schafe zählen.</a></p>',
        '<p><a href="/login">Log in</a> to leave a comment.</p>',
        '<p>Sign up for <a href="/n">our newsletter on fences and gates</a>.</p>',
    ],
)
def test_furniture_goes(furniture):
    assert own_lines(furniture) == []


@pytest.mark.parametrize(
    "closing",
    [
        "<p>Sign up for our newsletter to hear of fences, gates and stiles.</p>",
        "<p>A. Shepherd contributed to this report from the field.</p>",
        "<p>Follow her @shepherd for more.</p>",
        '<p>The paper comes with a <a href="/n">newsletter</a> every week.</p>',
    ],
)
def test_what_closes_a_page_goes_at_its_end_only(closing):
    text = "".join(
        f"<p>Gate {i} is closed at night, and opened when the sun stands over the hill.</p>" for i in range(6)
    )
    assert len(own_lines(closing + text)) == 7
    assert len(own_lines(text, f"<main><article>{{}}{closing}</article></main>")) == 6


@pytest.mark.parametrize(
    "sentence",
    [
        "Copyright in a work ends seventy years after its author died.",
        "The library may sign up new readers on its own.",
        "They click here and there, and then the wall is built.",
    ],
)
def test_last_sentences_stay(sentence):
    assert own_lines("", f"<main><article>{{}}<p>{sentence}</p></article></main>") == [sentence]


@pytest.mark.parametrize(
    "phrase",
    [
        *("Follow us", "Follow the desk: @news", "Like us on Fencebook", "© Weekly", "Copyright 2019", "Copyright (c)"),
        *("For full coverage, turn the page", "She contributed to this story", "Additional reporting: A. Shepherd"),
        *("Reporting by A. Shepherd", "Got a tip?", "Our newsletter", "Unserem Newsletter", "Newsletter abonnieren"),
        *("Sign up for the club", "Sign-up to receive it", "Subscribe to our list"),
        *("Alle Rechte vorbehalten", "All rights reserved"),
    ],
)
def test_every_closing_phrase_closes(phrase):
    assert closes_page(Block("p", f"{phrase} and more", 0), 300)


@pytest.mark.parametrize(
    "notice",
    [
        *("All rights reserved", "Alle Rechte vorbehalten", "Todos los derechos reservados", "Tous droits réservés"),
        *("Tutti i diritti riservati", "Todos os direitos reservados", "Wszelkie prawa zastrzeżone"),
        "Alle rechten voorbehouden",
    ],
)
def test_every_notice_of_ownership_is_furniture(notice):
    assert is_furniture(Block("p", f"Fence Weekly. {notice}.", 0), 300)
