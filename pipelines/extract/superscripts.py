"""Raised and lowered text as plain text: exponents, indices, fractions, ordinals and marks of footnotes."""

from __future__ import annotations

import re

from pipelines.extract.word_lists import words

_RAISED = str.maketrans("0123456789+-−=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿ")
_LOWERED = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉", "01234567890123456789")
_NUMBER = re.compile(r"[-+−]?\(?\d+\)?[-+−]?")
_EXPRESSION = re.compile(r"[\w.,+\-−*/×·=()^₀-₉⁰-⁹ ]{1,40}")
_VARIABLE = re.compile(r"[a-zA-Zα-ωΑ-Ω](?:[a-zα-ω']?)")
_ORDINALS = words(
    "st nd rd th e er ers es re res ère ere ième ieme eme ème nde de d me mes lle lles le o os a as º ª r ra ro"
    " do da to ta no na mo ma va vo tm sm mc c ® ™ s"
)
_FRACTION = re.compile(r"(\d?)([⁰¹²³⁴-⁹]+)\s*[/⁄∕]\s*([₀-₉]+|\d+)")
_LONE_INDEX = re.compile(r"(?<![\d.,₀-₉])([₀-₉]+)(?![\d₀-₉])")


def raised_text(text: str, before: str) -> str:
    """Return the plain form of a `<sup>`: `10⁶`, `2^(n-1)`; `1st` and `Mme` as they are. `before` is the text in
    front.
    """
    bare = text.strip()
    if _NUMBER.fullmatch(bare):
        return bare.translate(_RAISED)
    if not bare or bare.lower().rstrip(".") in _ORDINALS:
        return text
    if not _EXPRESSION.fullmatch(bare) or not before.strip():
        return text
    if _VARIABLE.fullmatch(bare):
        return f"^{bare}" if _is_power(before) else text
    return f"^({bare})" if any(not character.isalpha() and character != " " for character in bare) else text


def lowered_text(text: str, before: str) -> str:
    """Return the plain form of a `<sub>`: digits as subscripts, `x_i`; longer words as they are, behind a low line."""
    bare = text.strip()
    if _NUMBER.fullmatch(bare):
        return bare.translate(_LOWERED)
    if not bare or not before[-1:].isalnum() or not _EXPRESSION.fullmatch(bare):
        return text
    return f"_{bare}" if bare.isalnum() else f"_({bare})"


def tidy_scripts(text: str) -> str:
    """Return fractions as `2 1/2`, and indices that no digit touches as plain digits, as in `H2O`."""
    text = _FRACTION.sub(
        lambda found: f"{found[1]}{' ' if found[1] else ''}{found[2].translate(_PLAIN)}/{found[3].translate(_PLAIN)}",
        text,
    )
    return _LONE_INDEX.sub(lambda found: found[1].translate(_PLAIN), text)


def _is_power(before: str) -> bool:
    """Return whether letters may be an exponent: behind a digit, a bracket or a single letter."""
    base = before.rstrip()[-2:]
    return base[-1:].isdigit() or base[-1:] in (")", "]", "}") or (base[-1:].isalpha() and not base[:-1].isalpha())
