"""Word forms against a list checked by hand."""

import pytest

from pipelines.demo_crawl.lexicon import NOUNS, VERBS
from pipelines.demo_crawl.morphology import adverb, gerund, past, plural, third_person, with_indefinite_articles


@pytest.mark.parametrize(
    ("singular", "expected"),
    [
        ("loaf", "loaves"),
        ("chutney", "chutneys"),
        ("berry", "berries"),
        ("box", "boxes"),
        ("goose", "geese"),
        ("quarryman", "quarrymen"),
        ("pair of pliers", "pairs of pliers"),
        ("post office", "post offices"),
    ],
)
def test_plural(singular, expected):
    assert plural(singular) == expected


@pytest.mark.parametrize(
    ("verb", "s", "ed", "ing"),
    [
        ("carry", "carries", "carried", "carrying"),
        ("stop", "stops", "stopped", "stopping"),
        ("open", "opens", "opened", "opening"),
        ("write", "writes", "wrote", "writing"),
        ("lie", "lies", "lay", "lying"),
        ("play", "plays", "played", "playing"),
        ("set out", "sets out", "set out", "setting out"),
        ("polish", "polishes", "polished", "polishing"),
    ],
)
def test_verb_forms(verb, s, ed, ing):
    assert (third_person(verb), past(verb), gerund(verb)) == (s, ed, ing)


def test_adverb():
    assert [adverb(word) for word in ("happy", "gentle", "slow", "full", "shy", "basic")] == [
        "happily",
        "gently",
        "slowly",
        "fully",
        "shyly",
        "basically",
    ]


def test_indefinite_articles_follow_the_sound():
    text = "a old inn, a user, a one-eyed cat, a hour, a egg, A apple, a unusual urn, a horse"
    assert with_indefinite_articles(text) == (
        "an old inn, a user, a one-eyed cat, an hour, an egg, An apple, an unusual urn, a horse"
    )


def test_no_noun_is_its_own_plural_by_accident():
    same = {noun for nouns in NOUNS.values() for noun in nouns if plural(noun) == noun}
    assert same <= {"sheep", "deer", "trout", "salmon"}


def test_verbs_have_forms_of_their_own():
    for verb in (verb for verbs in VERBS.values() for verb in verbs):
        assert third_person(verb) != verb and gerund(verb) != verb
