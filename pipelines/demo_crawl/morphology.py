"""English word forms: plurals, verb forms, adverbs, by rule and a table of the irregular ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())


_IRREGULAR_PLURALS = _pairs("""
    man:men woman:women child:children foot:feet tooth:teeth goose:geese mouse:mice ox:oxen sheep:sheep deer:deer
    fish:fish trout:trout salmon:salmon knife:knives wife:wives life:lives leaf:leaves loaf:loaves shelf:shelves
    wolf:wolves half:halves calf:calves hoof:hooves scarf:scarves thief:thieves potato:potatoes tomato:tomatoes
    echo:echoes hero:heroes
""")

_IRREGULAR_PASTS = _pairs("""
    be:was have:had do:did go:went say:said make:made take:took give:gave get:got find:found keep:kept hold:held
    bring:brought buy:bought sell:sold build:built write:wrote read:read send:sent lose:lost leave:left tell:told
    begin:began break:broke catch:caught choose:chose come:came cut:cut draw:drew drink:drank drive:drove eat:ate
    fall:fell feed:fed feel:felt fly:flew forget:forgot grow:grew hang:hung hear:heard hide:hid hit:hit know:knew
    lay:laid lead:led lend:lent let:let lie:lay light:lit meet:met mend:mended pay:paid put:put ride:rode ring:rang
    rise:rose run:ran see:saw set:set sew:sewed shake:shook shine:shone shut:shut sing:sang sink:sank sit:sat
    sleep:slept slide:slid speak:spoke spend:spent spin:spun spread:spread stand:stood steal:stole sweep:swept
    swim:swam teach:taught tear:tore think:thought throw:threw understand:understood wake:woke wear:wore weave:wove
    win:won wind:wound bend:bent bind:bound creep:crept dig:dug flee:fled stride:strode freeze:froze sow:sowed
    show:showed split:split
""")

_DOUBLING = frozenset(("label", "travel", "admit", "prefer", "refer", "permit", "commit", "begin", "forget"))
_ONE_SYLLABLE = re.compile(r"[^aeiou]*[aeiou][^aeiouwxy]|qu[aeiou][^aeiouwxy]")


@cache
def plural(noun: str) -> str:
    """Return the plural: `loaf` to `loaves`, `copper kettle` to `copper kettles`, `bag of flour` to `bags of flour`."""
    head, of, rest = noun.partition(" of ")
    before, space, last = head.rpartition(" ")
    return before + space + _plural_word(last) + of + rest


@cache
def third_person(verb: str) -> str:
    """Return the third person: `carry` to `carries`; of `carry off` the first word changes."""
    return _on_first_word(verb, lambda word: {"be": "is", "have": "has"}.get(word) or _with_s(word))


@cache
def past(verb: str) -> str:
    """Return the past tense: `carry` to `carried`, `build` to `built`."""
    return _on_first_word(verb, lambda word: _IRREGULAR_PASTS.get(word) or _with_suffix(word, "ed"))


@cache
def gerund(verb: str) -> str:
    """Return the gerund: `make` to `making`, `run` to `running`."""
    return _on_first_word(verb, _gerund_word)


@cache
def adverb(adjective: str) -> str:
    """Return the adverb: `happy` to `happily`, `gentle` to `gently`."""
    if adjective.endswith("le") and adjective[-3] not in "aeiou":
        return adjective[:-1] + "y"
    if adjective.endswith("y") and len(adjective) > 3:
        return adjective[:-1] + "ily"
    if adjective.endswith("ic"):
        return adjective + "ally"
    return adjective + ("y" if adjective.endswith("ll") else "ly")


def with_indefinite_articles(text: str) -> str:
    """Correct `a old inn` to `an old inn`: every `a` before the sound of a vowel becomes `an`."""
    return _A_BEFORE_VOWEL.sub(r"\1n", text)


_A_BEFORE_VOWEL = re.compile(r"\b([Aa])(?= (?:[aeioAEIO]|u(?!ni|se|su|ti)|U(?!ni|se)|hour|honest)(?!ne\b|nce\b|u))")

FORMS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "s": plural,
        "es": third_person,
        "ed": past,
        "ing": gerund,
        "ly": adverb,
        "cap": lambda word: word[:1].upper() + word[1:],
    }
)
"""What may follow `+` in a grammar's slot, as in `{verb+ed}`."""


def _plural_word(noun: str) -> str:
    if noun.endswith("man"):
        return noun[:-3] + "men"
    return _IRREGULAR_PLURALS.get(noun) or _with_s(noun)


def _with_s(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")) or word in ("go", "do"):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _gerund_word(verb: str) -> str:
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")) and verb != "be":
        return verb[:-1] + "ing"
    return _with_suffix(verb, "ing")


def _with_suffix(verb: str, suffix: str) -> str:
    if suffix == "ed" and verb.endswith("e"):
        return verb + "d"
    if suffix == "ed" and verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    if verb in _DOUBLING or _ONE_SYLLABLE.fullmatch(verb):
        return verb + verb[-1] + suffix
    return verb + suffix


def _on_first_word(phrase: str, change: Callable[[str], str]) -> str:
    first, space, rest = phrase.partition(" ")
    return change(first) + space + rest
