"""Masking of personal data: recall on personal data, and the share of other texts masked by mistake.

The texts are made by `benchmarks.pii_texts` and `benchmarks.pii_innocent`; the prose is that below `LOAM_SHARED_DATA`,
which holds no personal data but addresses of streets. A passage counts as masked if none of its digits remains,
and for an e-mail address, nothing of its name.
"""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator

from benchmarks import pii_texts
from benchmarks.pii_innocent import innocent_texts
from benchmarks.report import Row, finish, parser, timed
from benchmarks.shared_data import shared_data
from benchmarks.web.pages import true_pages
from lm.errors import run_command
from lm.progress import track
from pipelines.extract import extract_text
from pipelines.filters.pii import mask_all

MIN_PHONES, MIN_CARDS, MIN_OTHERS = 0.85, 0.98, 0.99
MAX_INNOCENT = 0.037
"""46 of 1,235 texts: what was masked by mistake before national forms of phone numbers were."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("pii", (__doc__ or "").strip())
    options.add_argument("--texts", type=int, default=3000, metavar="N", help="texts of each kind (default: 3000)")
    options.add_argument("--repeats", type=int, default=5, metavar="N", help="timings; the minimum counts (default: 5)")
    options.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the texts (default: 0)")
    options.add_argument("--worst", action="store_true", help="print missed and wrongly masked passages")
    arguments = options.parse_args(argv)
    rows = [
        *_found(arguments.texts, arguments.seed, arguments.worst),
        *_innocent(arguments.texts, arguments.seed, arguments.worst),
        *_prose(arguments.worst),
        _speed(arguments.repeats),
    ]
    return finish("pii", rows, arguments)


def _found(number: int, seed: int, is_shown: bool) -> Iterator[Row]:
    """Yield the masked share of each kind."""
    said = pii_texts.phone_texts(number, seed)
    unsaid = pii_texts.phone_texts(number // 5, seed + 1, pii_texts.UNSAID_PHONE_TEXTS)
    sets = {
        "phone numbers, one in six without a phone's word": (said + unsaid, MIN_PHONES),
        "  those beside a phone's word": (said, None),
        "  those without": (unsaid, None),
        "card numbers": (pii_texts.card_texts(number, seed), MIN_CARDS),
        "e-mail addresses": (pii_texts.email_texts(number, seed), MIN_OTHERS),
        "IBANs of all countries": (pii_texts.iban_texts(number, seed), MIN_OTHERS),
        "IP addresses": (pii_texts.ip_texts(number, seed), MIN_OTHERS),
    }
    for name, (texts, target) in track(sets.items(), "marked texts", unit="set"):
        total = sum(len(each.passages) for each in texts)
        left = [(each, passage) for each in texts for passage in _left(each)]
        if is_shown and target is not None:
            for each, passage in left[:200]:
                print(f"left: {passage!r} of {each.text!r}")
        yield Row(name=name, value=1 - len(left) / total, unit=f"of {total:,} masked", target=target)


def _left(marked: pii_texts.MarkedText) -> list[str]:
    """Return the passages whose identifying part is not fully masked."""
    masked, _ = mask_all(marked.text)
    return [passage for passage in marked.passages if _core(passage) in masked]


def _core(passage: str) -> str:
    """Return the part that must be masked: the name of an address, or the first digits of a number with their
    separators.
    """
    return passage.partition("@")[0] + "@" if "@" in passage else passage[:6]


def _innocent(number: int, seed: int, is_shown: bool) -> Iterator[Row]:
    masked = [(text, counts) for text in innocent_texts(number, seed) if sum((counts := mask_all(text)[1]).values())]
    if is_shown:
        for text, count in Counter(f"{_kinds(counts)}: {text}" for text, counts in masked).most_common(200):
            print(f"masked: {text} {count}")
    yield Row(
        name="texts without personal data that are masked",
        value=len(masked) / number,
        unit=f"of {number:,}",
        target=MAX_INNOCENT,
        better="lower",
    )


def _kinds(counts: dict[str, int]) -> str:
    return " ".join(kind for kind, count in counts.items() if count)


def _prose(is_shown: bool) -> Iterator[Row]:
    """Yield the number of masks per million characters of prose."""
    prose = {"speeches and plays": "public_domain.jsonl.gz", "encyclopedia": "wikitext2_valid.txt.gz"}
    for name, file in prose.items():
        path = shared_data() / "prose" / file
        value = None
        if path.is_file():
            text = gzip.decompress(path.read_bytes()).decode("utf-8")
            texts = [json.loads(line)["text"] for line in text.splitlines()] if ".jsonl" in file else [text]
            found = [mask_all(each) for each in texts]
            num_masks = sum(sum(counts.values()) for _, counts in found)
            value = num_masks / sum(map(len, texts)) * 1e6
            if is_shown:
                print(name, sum((Counter(counts) for _, counts in found), Counter()))
        yield Row(name=f"masks in {name}", value=value, unit="a million characters", better="lower")


def _speed(repeats: int) -> Row:
    texts = [text for page in true_pages() if (text := extract_text(page.html))]
    seconds = min((timed(lambda: list(map(mask_all, texts)), time.process_time) for _ in range(repeats)), default=0.0)
    value = sum(map(len, texts)) / seconds / 1e6 if texts and seconds else None
    return Row(name="speed on news pages, one core", value=value, unit="million characters/s")


if __name__ == "__main__":
    run_command(main)
