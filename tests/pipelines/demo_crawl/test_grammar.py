"""The grammar's templates: what they generate, and that a mistake in one is found when it is compiled."""

import pytest

from pipelines.demo_crawl.dice import Dice, derived_uuid
from pipelines.demo_crawl.grammar import Grammar


def every(grammar, rule, slots=None, number=300):
    return {grammar.expand(rule, Dice("test", n), dict(slots or {})) for n in range(number)}


def test_choices_nest_and_may_be_empty():
    grammar = Grammar({"s": ["a[ b[ c|]|]d"]})
    assert every(grammar, "s") == {"a b cd", "a bd", "ad"}


def test_rules_slots_and_forms():
    grammar = Grammar(
        {"s": ["{who} {verb+ed} {things+s}"], "verb": ["carry", "sell"], "things": ["loaf"]}, slots=["who"]
    )
    assert every(grammar, "s", {"who": "Ann"}) == {"Ann carried loaves", "Ann sold loaves"}


def test_a_kept_value_stays_the_same():
    grammar = Grammar({"s": ["{it=noun}, {it}, {it+s}"], "noun": ["cat", "dog"]})
    assert every(grammar, "s") == {"cat, cat, cats", "dog, dog, dogs"}


def test_sentences_begin_with_a_capital_and_have_the_right_article():
    assert Grammar({"s": ["a owl sat."]}).sentence("s", Dice(1)) == "An owl sat."


def test_deal_repeats_no_template():
    grammar = Grammar({"s": ["one", "two", "three"]})
    assert sorted(grammar.deal("s", 5, Dice(4))) == ["One", "Three", "Two"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{missing}", "no rule or slot 'missing'"),
        ("{noun+xyz}", "no form 'xyz'"),
        ("[open", "bracket without its partner"),
        ("close]", "outside of brackets"),
        ("{open", "brace without its partner"),
        ("{no noun}", "is not a reference"),
    ],
)
def test_a_mistake_in_a_template_is_named(template, message):
    with pytest.raises(ValueError, match=message):
        Grammar({"s": [template], "noun": ["cat"]})


def test_a_slot_cannot_hide_a_rule():
    with pytest.raises(ValueError, match="'noun' is a rule"):
        Grammar({"noun": ["cat"]}, slots=["noun"])


def test_dice_are_named_by_their_parts():
    def rolls(*parts):
        dice = Dice(*parts)
        return [dice.between(1, 1000) for _ in range(8)]

    assert rolls(0, "page", 1) == rolls(0, "page", 1)
    assert len({tuple(rolls(0, "page", n)) for n in range(50)}) == 50


def test_dice_choose_evenly_and_within_bounds():
    dice = Dice("even")
    rolls = [dice.between(1, 6) for _ in range(6000)]
    assert set(rolls) == {1, 2, 3, 4, 5, 6} and all(850 < rolls.count(side) < 1150 for side in range(1, 7))
    assert sorted(dice.shuffled("abcdef")) == list("abcdef")
    assert len(set(dice.sample(range(20), 7))) == 7


def test_derived_uuids_are_version_4():
    assert derived_uuid(0, "x").version == 4 and derived_uuid(0, "x") != derived_uuid(1, "x")
