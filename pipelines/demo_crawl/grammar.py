"""A generative grammar in templates, compiled once and expanded fast.

A template is text with

    [one|two|]      one of the alternatives, which may nest and may be empty
    {noun}          an alternative of the rule `noun`, or the value of the slot `noun`
    {noun+s}        the same in another form; the forms are those of `morphology.FORMS`
    {thing=noun}    an alternative of the rule `noun`, kept in the slot `thing` for the rest of the text

No slot has the name of a rule. Names in templates are checked when the grammar is made, so a misspelt name is found
before the first page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.morphology import FORMS, with_indefinite_articles

Slots: TypeAlias = MutableMapping[str, str]


@dataclass(slots=True)
class _Reference:
    """`{keep=name+form}`; `rule` is None where only a slot can give the value."""

    name: str
    form: Callable[[str], str] | None
    keep: str | None
    rule: _Alternatives | None


_Node: TypeAlias = "str | _Reference | _Alternatives"
_Alternatives: TypeAlias = "list[tuple[_Node, ...]]"

_TOKEN = re.compile(r"[\[\]|]|\{[^{}]*\}|[^\[\]|{}]+")
_REFERENCE = re.compile(r"\{(?:([a-z_]+)=)?([a-z_]+)(?:\+([a-z]+))?\}")


class Grammar:
    """Rules by name, each a sequence of templates; `slots` names the values that a caller will give.

    Raises:
        ValueError: a template is not well-formed, or asks for an unknown rule, slot or form.
    """

    def __init__(self, rules: Mapping[str, Iterable[str]], slots: Sequence[str] = ()) -> None:
        self._rules: dict[str, _Alternatives] = {name: [] for name in rules}
        kept = {match[1] for templates in rules.values() for text in templates for match in _REFERENCE.finditer(text)}
        self._given = frozenset(slots) | (kept - {None})
        for name in sorted(self._given & rules.keys()):
            raise ValueError(f"'{name}' is a rule, so no slot can have this name")
        for name, templates in rules.items():
            self._rules[name].extend(self._compile(template) for template in templates)

    def expand(self, rule: str, dice: Dice, slots: Slots | None = None) -> str:
        """Return the text of one rule; what the templates keep is put into `slots`."""
        parts: list[str] = []
        alternatives = self._rules[rule]
        _write(alternatives[int(dice.random() * len(alternatives))], dice.random, {} if slots is None else slots, parts)
        return "".join(parts)

    def sentence(self, rule: str, dice: Dice, slots: Slots | None = None) -> str:
        """Return the text of one rule as a sentence: `a` or `an` as the next word asks, and a capital first."""
        return _as_sentence(self.expand(rule, dice, slots))

    def deal(self, rule: str, count: int, dice: Dice, slots: Slots | None = None) -> list[str]:
        """Return `count` sentences of one rule, each from another template; fewer where the rule has fewer."""
        dealt = []
        for template in dice.sample(self._rules[rule], count):
            parts: list[str] = []
            _write(template, dice.random, dict(slots or {}), parts)
            dealt.append(_as_sentence("".join(parts)))
        return dealt

    def _compile(self, template: str) -> tuple[_Node, ...]:
        tokens = _TOKEN.findall(template)
        if "".join(tokens) != template:
            raise ValueError(f"template {template!r}: a brace without its partner")
        nodes, end = self._sequence(tokens, 0, template, top=True)
        if end != len(tokens):
            raise ValueError(f"template {template!r}: a bracket without its partner")
        return nodes

    def _sequence(self, tokens: list[str], at: int, template: str, *, top: bool) -> tuple[tuple[_Node, ...], int]:
        nodes: list[_Node] = []
        while at < len(tokens) and (top or tokens[at] not in "|]"):
            token = tokens[at]
            if token == "[":
                choice, at = self._choice(tokens, at + 1, template)
                nodes.append(choice)
                continue
            if token in "|]":
                raise ValueError(f"template {template!r}: '{token}' outside of brackets")
            nodes.append(self._reference(token, template) if token.startswith("{") else token)
            at += 1
        return tuple(nodes), at

    def _choice(self, tokens: list[str], at: int, template: str) -> tuple[_Alternatives, int]:
        alternatives: _Alternatives = []
        while True:
            nodes, at = self._sequence(tokens, at, template, top=False)
            alternatives.append(nodes)
            if at == len(tokens):
                raise ValueError(f"template {template!r}: a bracket without its partner")
            at += 1
            if tokens[at - 1] == "]":
                return alternatives, at

    def _reference(self, token: str, template: str) -> _Reference:
        match = _REFERENCE.fullmatch(token)
        if match is None:
            raise ValueError(f"template {template!r}: '{token}' is not a reference")
        keep, name, form = match.groups()
        if name not in self._rules and name not in self._given:
            raise ValueError(f"template {template!r}: no rule or slot '{name}'")
        if form is not None and form not in FORMS:
            raise ValueError(f"template {template!r}: no form '{form}', known: {', '.join(FORMS)}")
        return _Reference(name, FORMS[form] if form else None, keep, self._rules.get(name))


def _as_sentence(text: str) -> str:
    text = with_indefinite_articles(" ".join(text.split()))
    return text[:1].upper() + text[1:]


def _write(nodes: tuple[_Node, ...], random: Callable[[], float], slots: Slots, parts: list[str]) -> None:
    """Append the expansion of `nodes` to `parts`."""
    for node in nodes:
        if node.__class__ is str:
            parts.append(node)
        elif node.__class__ is list:
            _write(node[int(random() * len(node))], random, slots, parts)
        else:
            _write_reference(node, random, slots, parts)  # type: ignore[arg-type]


def _write_reference(reference: _Reference, random: Callable[[], float], slots: Slots, parts: list[str]) -> None:
    value = slots.get(reference.name) if reference.keep is None else None
    if value is None:
        rule = reference.rule
        if rule is None:
            raise KeyError(f"slot '{reference.name}' has no value yet")
        if reference.form is None and reference.keep is None:
            _write(rule[int(random() * len(rule))], random, slots, parts)
            return
        inner: list[str] = []
        _write(rule[int(random() * len(rule))], random, slots, inner)
        value = "".join(inner)
        if reference.keep is not None:
            slots[reference.keep] = value
    parts.append(value if reference.form is None else reference.form(value))
