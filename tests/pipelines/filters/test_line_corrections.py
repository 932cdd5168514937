"""Lines that C4's and RefinedWeb's corrections drop, and pages that lose too many."""

import pytest

from pipelines.filters.heuristics import HeuristicFilter
from pipelines.filters.line_corrections import correct_c4_for_fineweb, correct_refinedweb
from tests.pipelines.filters.test_heuristics import batch, failed, lines, prose


def test_c4_drops_lines_and_pages():
    page = lines(
        "A first sentence of the page.[3]",
        "Home | About | Contact us today",
        "Please enable Javascript to see the whole page.",
        "Too short.",
        "This line trails off into nothing...",
        "We use cookies, as our cookie policy says here.",
        'A second one said: "here is the end of it all."',
        "Is a third sentence really needed on this page?",
    )
    kept, removed = HeuristicFilter(preset="c4")(batch(page))
    assert removed.num_rows == 0
    assert kept.column("text").to_pylist() == [
        lines(
            "A first sentence of the page.",
            'A second one said: "here is the end of it all."',
            "Is a third sentence really needed on this page?",
        )
    ]
    assert failed(page + "\nfunction() { return }", preset="c4") == "curly_brackets"
    assert failed(page + "\nLorem Ipsum dolor", preset="c4") == "lorem_ipsum"
    assert failed("Only one sentence with enough words. And a second one.", preset="c4") == "sentences"
    assert correct_c4_for_fineweb(page).text.count("\n") == 5 - 1


def test_refinedweb_drops_navigation_and_pages_that_lose_much():
    good = [prose(40, seed) for seed in range(6)]
    unwanted = [
        "3 likes",
        "READ THIS NOW",
        "2024",
        "Sign in to continue",
        "Click here to read more...",
        "2 items in cart",
        "Home",
    ]
    corrected = correct_refinedweb(lines(*good, *unwanted))
    assert corrected.text == lines(*good)
    assert 0.05 < corrected.dropped_share < 0.10
    assert failed(lines(*good, *unwanted), preset="refinedweb") == "dropped_words"
    assert failed(lines(*good, *unwanted[:3]), preset="refinedweb") is None


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("de", "Diese Website verwendet Cookies, um Ihnen das beste Erlebnis zu bieten."),
        ("fr", "Ce site utilise des cookies pour vous offrir la meilleure expérience."),
        ("es", "Este sitio utiliza cookies para ofrecerle la mejor experiencia."),
        ("it", "Questo sito utilizza cookie per offrirti la migliore esperienza."),
        ("en", "This site uses cookies to give you the best experience."),
    ],
)
def test_notices_go_in_their_language_and_in_english(language, line):
    for code in {language, "fi"}:
        kept = correct_c4_for_fineweb(lines("One line that stays here.", line), code).text
        assert (line in kept) == (code == "fi" and language != "en")


@pytest.mark.parametrize(
    ("language", "line"),
    [("de", "Hier weiterlesen »"), ("fr", "Lire la suite..."), ("es", "Inicia sesión aquí"), ("nl", "Lees meer >")],
)
def test_navigation_goes_in_its_language(language, line):
    assert correct_refinedweb(lines("one line that stays", line), language).text == "one line that stays"
    assert correct_refinedweb(lines("one line that stays", line), "ko").text.count("\n") == 1
