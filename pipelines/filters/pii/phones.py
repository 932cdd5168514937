"""Phone numbers: in international form, in the forms of the North American plan, and in the national forms of others.

A number with `+` is a phone number. Others are judged by their form, by the words beside them (`phone_context`), and by
the numbering plans of the countries that the page is likely to be from (`phonenumbers`, Google's libphonenumber):

- in North American form with dashes, dots or parentheses it is one, unless a word beside it says what else it is; with
  spaces or no sign between its parts only where the plan has it, and with spaces only where it has a phone's word;
- with a phone's word right beside it any grouping of 7 to 13 digits is one, unless it is a date, an amount or a book's
  number;
- with a phone's word some words away, where a country has numbers of its length;
- with no word at all, where it is grouped, begins with the trunk prefix 0 or an area in parentheses, and is valid in
  one of the page's own countries or, of three groups and more, in any country with a strict plan.

An extension (`x12`, `ext. 7`, `/33`) belongs to its number.

Source: https://github.com/google/libphonenumber; ITU-T E.164.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pipelines.filters.pii.numbering_plans import NumberingPlans
from pipelines.filters.pii.phone_context import Sign, sign_at
from pipelines.filters.pii.regions import ENGLISH
from pipelines.filters.pii.spans import DASHES, SPACES, Span, last_before

_MIN_DIGITS, _MAX_DIGITS, _MAX_NATIONAL_DIGITS = 7, 15, 13
_MIN_INTERNATIONAL_DIGITS = 8
_MIN_DIGITS_BEFORE_ZERO = 9
_MAX_ROW = 1000
_MIN_GROUPS, _MAX_GROUPS, _MAX_CUTS, _MAX_LENGTH = 2, 9, 4, 40

_GAP = f"[{SPACES}{DASHES}.·•]"
_SIGNED_GAP = f"[{DASHES}./·•]"
_NORTH_AMERICAN = re.compile(
    rf"(?:\+?1[{SPACES}{DASHES}.]?)?(?:"
    rf"\([2-9]\d\d\)[{SPACES}{DASHES}.]{{0,3}}\d{{3}}{_GAP}{{0,3}}\d{{4}}"
    rf"|[2-9]\d\d ?{_SIGNED_GAP} ?\d{{3}} ?{_GAP} ?\d{{4}}"
    rf"|[2-9]\d\d[{SPACES}]\d{{3}}[{DASHES}.]\d{{4}})"
)
_NORTH_AMERICAN_INSIDE = re.compile(rf"(?<![\d+])(?:{_NORTH_AMERICAN.pattern})(?!\d|[.\-/]\d)")
_BARE = re.compile(rf"(?:1[{SPACES}]?)?[2-9]\d\d[{SPACES}]?\d{{3}}[{SPACES}]?\d{{4}}")
_GROUP = re.compile(r"\d+")
_PART_END = re.compile(rf"(?<=\d)[.]?[{SPACES}]*[{SPACES}/(][{SPACES}]*(?=\(?\d)")
_BETWEEN = re.compile(rf"[{SPACES}{DASHES}./)]*")
_NEW_NUMBER = re.compile(rf"(?P<sign>[{SPACES}]*/[{SPACES}]*(?=[+(0])|[{SPACES}]+(?=\+|\((?!0\))))|[{SPACES}]+(?=0)")
_DATE = re.compile(
    r"(?<!\d)(?:\d{1,2}[./\- ]\d{1,2}[./\- ](?:19|20)\d\d|(?:19|20)\d\d[./\- ]\d{1,2}[./\- ]\d{1,2})(?!\d)"
    r"|^(?:1[5-9]|20)\d\d(?:\D+(?:1[5-9]|20)\d\d)+$"
)
_AMOUNT = re.compile(rf"[1-9]\d{{0,2}}(?:[{SPACES}]\d{{3}})+$|[1-9]\d{{0,2}}(?:\.\d{{3}})+$|\d+\.\d+$")
_BOOK = re.compile(r"97[89]\d{10}$")
_ROUND = re.compile(r"[1-9]\d*0{5}$")
_GOES_ON = re.compile(rf"\w|[{SPACES}]?[%€$£°]|,\d", re.ASCII)
_EXTENSION = re.compile(
    r"[ ,]{0,2}(?:(?:x|ext|extn|extension|durchwahl|dw|poste|int|interno|anexo|доб)\.?[ :]{0,2}|#)\d{1,6}(?!\w)"
    r"|/\d{1,4}(?![\w/]|[ .\-]?\d)",
    re.IGNORECASE,
)
_AREA_IN_PARENTHESES = re.compile(rf"\(0?\d{{2,4}}\)(?:[{SPACES}{DASHES}.]?\d){{6,8}}")
_OPENINGS, _PLUS = "+(＋", ("+", "＋")
_IN_ADDRESSES = frozenset("/=&?#-~%.")
_INTERNATIONAL_PREFIX = "00"


def find_phones(
    text: str, runs: Sequence[Span], regions: Sequence[str] = ENGLISH, taken: Sequence[Span] = ()
) -> list[Span]:
    """Return the phone numbers in `text`, whose digits stand in `runs`.

    `regions` are the page's countries, `taken` the passages that are personal data of other kinds, in order.
    """
    found: list[Span] = []
    plans = NumberingPlans(regions)
    last = -1
    for start, stop in runs:
        if start < last:  # the run began with an extension
            start = _behind_signs(text, last, stop)
        if stop - start < _MIN_DIGITS:
            continue
        for first, end in _numbers_of(text, start, stop, plans, last, last_before(taken, start)):
            extension = _EXTENSION.match(text, end)
            last = extension.end() if extension else end
            found.append((first, last))
    return found


def _numbers_of(
    text: str, start: int, stop: int, plans: NumberingPlans, last_phone: int, last_taken: int
) -> Iterator[Span]:
    """Yield the phone numbers of one run: all of it, or else what of it has a form of its own."""
    while start > 0 and text[start - 1] in _OPENINGS:
        start -= 1
    for first, end, is_alone in _parts(text, start, stop):
        while first < end:
            span = _number_in(text, first, end, plans, last_phone, last_taken, is_alone)
            span = span or _north_american_in(text, first, end, last_phone, last_taken)
            if span is None:
                break
            yield span
            last_phone, is_alone = span[1], False
            first = _behind_signs(text, last_phone, end)


def _north_american_in(text: str, start: int, stop: int, last_phone: int, last_taken: int) -> Span | None:
    """Return the first number in North American form among other numbers."""
    for match in _NORTH_AMERICAN_INSIDE.finditer(text, start, stop):
        is_apart = _begins_apart(text, match.start(), last_phone) and _ends_apart(text, match.end())
        if is_apart and sign_at(text, *match.span(), last_phone, last_taken) is not Sign.OTHER:
            return match.span()
    return None


def _behind_signs(text: str, start: int, stop: int) -> int:
    """Return the end of the separators that begin at `start`."""
    found = _BETWEEN.match(text, start, stop)
    return found.end() if found else start


def _parts(text: str, start: int, stop: int) -> Iterator[tuple[int, int, bool]]:
    """Yield a run as the numbers that it may be: all of it, or where that is too long, cut where another number begins.

    The third value says that the part stands alone: a row of numbers with spaces only does not.
    """
    is_alone = True
    if stop - start <= _MAX_ROW and _num_digits(text[start:stop]) > _MAX_DIGITS:
        for match in _NEW_NUMBER.finditer(text, start, stop):
            least = _MIN_DIGITS if match["sign"] else _MIN_DIGITS_BEFORE_ZERO
            if match.start() - start >= least and _num_digits(text[start : match.start()]) >= least:
                is_alone = is_alone and match["sign"] is not None
                yield start, match.start(), is_alone
                start = match.end()
    yield start, stop, is_alone


def _number_in(
    text: str, start: int, stop: int, plans: NumberingPlans, last_phone: int, last_taken: int, is_alone: bool
) -> Span | None:
    """Return the phone number that begins at `start`, up to `stop` or, with a phone's word, to a space before it."""
    while text[start] == "(" and text.count("(", start, stop) > text.count(")", start, stop):
        start += 1
    written = text[start:stop]
    if not _begins_apart(text, start, last_phone):
        return None
    if written.lstrip("(")[:1] in _PLUS:
        return _international(text, start, stop, plans)
    if len(written) > _MAX_LENGTH:  # a row of numbers: the first of them
        stop = text.rfind(" ", start, start + _MAX_LENGTH)
        is_alone, written = False, text[start : max(start, stop)]
    if _num_digits(written) < _MIN_DIGITS:
        return None
    sign = sign_at(text, start, stop, last_phone, last_taken)
    if sign is Sign.OTHER:
        return None
    if sign is Sign.NOTHING:
        # A part of a row of numbers needs a word or a form that says more than that some country has such a number.
        is_candidate = is_alone and text[start - 1 : start] not in _IN_ADDRESSES
        is_phone = is_candidate and _ends_apart(text, stop) and _is_phone(written, sign, plans)
        return (start, stop) if is_phone else None
    if _ends_apart(text, stop) and _is_phone(written, sign, plans):
        return start, stop
    ends = [end for end in _ends(written) if _ends_apart(text, start + end) and _is_phone(written[:end], sign, plans)]
    if not ends:
        return None
    valid = (end for end in ends if plans.is_valid(written[:end], plans.strict))
    return start, start + next(valid, ends[0])


def _ends(written: str) -> Iterator[int]:
    """Yield the possible ends of a number that is followed by others, the farthest first."""
    yield len(written)
    spaces = [match.start() for match in _PART_END.finditer(written)]
    yield from reversed(spaces[-_MAX_CUTS:])


def _international(text: str, start: int, stop: int, plans: NumberingPlans) -> Span | None:
    """Return a number with `+`; of one with more digits than nearly all have, the longest beginning that a country
    has.
    """
    written = text[start:stop]
    ends = [
        end
        for end in _ends(written)
        if _MIN_INTERNATIONAL_DIGITS <= _num_digits(written[:end]) <= _MAX_DIGITS and _ends_apart(text, start + end)
    ]
    if not ends:
        return None
    if _num_digits(written) <= _MAX_NATIONAL_DIGITS:
        return start, start + ends[0]
    valid = (end for end in ends if plans.is_valid(written[:end], (None,)))
    return start, start + next(valid, ends[0])


def _is_phone(written: str, sign: Sign, plans: NumberingPlans) -> bool:
    """Return whether digits and separators are a phone number, given what the words beside them say."""
    groups = _GROUP.findall(written)
    digits = "".join(groups)
    if len(digits) < _MIN_DIGITS or len(groups) > _MAX_GROUPS or _DATE.search(written) or _BOOK.match(digits):
        return False
    if _NORTH_AMERICAN.fullmatch(written) is not None:
        return True
    if sign is Sign.PHONE:
        return len(digits) <= _MAX_NATIONAL_DIGITS and not _ROUND.match(digits)
    if sign is Sign.WEAK_PHONE:
        is_amount = _AMOUNT.match(written) is not None or _ROUND.match(digits) is not None
        return len(digits) <= _MAX_NATIONAL_DIGITS and not is_amount and plans.is_possible(written)
    if _BARE.fullmatch(written) is not None:
        return len(groups) == 1 and plans.is_valid(written, ("US",))
    if digits.startswith(_INTERNATIONAL_PREFIX) and len(groups) > 1:
        return plans.is_valid("+" + digits.lstrip("0"), (None,))
    if _AMOUNT.match(written) or len(groups) < _MIN_GROUPS:
        return False
    if _AREA_IN_PARENTHESES.fullmatch(written) is not None or (digits.startswith("0") and len(groups[-1]) > 1):
        return plans.is_valid(written, plans.strict if len(groups) > _MIN_GROUPS else plans.own)
    return False


def _begins_apart(text: str, start: int, last_phone: int) -> bool:
    """Return whether no word or longer number is before a number, the one that was found last apart."""
    before = text[max(0, start - 2, last_phone) : start]
    if before and ((before[-1].isascii() and before[-1].isalnum()) or before[-1] in "_+"):
        return False
    return not (len(before) == 2 and before[-1] in ".,-/" and before[0].isdigit())


def _ends_apart(text: str, stop: int) -> bool:
    """Return whether no word, unit or longer number goes on behind a number, but perhaps an extension."""
    return _GOES_ON.match(text, stop) is None or _EXTENSION.match(text, stop) is not None


def _num_digits(written: str) -> int:
    return sum(map(str.isdigit, written))
