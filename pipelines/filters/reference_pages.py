"""The pages that the quality classifier learns from: reference pages against random pages of a crawl.

Reference pages are those that somebody found worth a link, such as the ones that Wikipedia cites: fetched by URL from a
crawl (`pipelines.common_crawl.fetch_pages`) into a WARC file, or given as JSON Lines. Both sides go through the same
extraction and the same filters, and every language has the same proportion of both sides, so that the classifier learns
how a page reads, and not from which side its markup, language or boilerplate came.

Decisions: a text on both sides counts as a reference page. Where a side has more than `max_pages`, those with the
lowest hash of their text are taken: a random sample that is the same whatever the order of the files.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pyarrow as pa

from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError, InputError
from lm.storage import sha256_of
from pipelines.classifiers.fasttext_training import Example
from pipelines.documents.schema import Stage
from pipelines.filters.heuristics import HeuristicFilter
from pipelines.filters.labels import read_texts
from pipelines.filters.language import LanguageFilter
from pipelines.filters.repetition import RepetitionFilter
from pipelines.sources.warc_file import WarcFile

_BATCH_DOCUMENTS = 256
_SCHEMA = pa.schema([("doc_id", pa.string()), ("url", pa.string()), ("text", pa.large_string())])


@dataclass(frozen=True, kw_only=True)
class PageFilters:
    """The filters that training pages of both classes must pass, the same as in the curation."""

    language: Annotated[LanguageFilter, Doc("Languages of the training pages.")] = field(default_factory=LanguageFilter)
    heuristics: Annotated[HeuristicFilter, Doc("Heuristic rules for the training pages.")] = field(
        default_factory=HeuristicFilter
    )
    repetition: Annotated[RepetitionFilter, Doc("Repetition rules for the training pages.")] = field(
        default_factory=RepetitionFilter
    )

    def __post_init__(self) -> None:
        settle(self, "filters")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The filters in the order of the curation."""
        return self.language, self.heuristics, self.repetition


@dataclass(frozen=True, kw_only=True)
class LabelledPages:
    """Files of reference pages and of a crawl's random pages: WARC, WET, or JSON Lines with `text`.

    Raises:
        ConfigurationError: at construction, one side is empty.
    """

    reference: Annotated[tuple[str, ...], Doc("Files of high-quality pages, the positive examples.")]
    crawl: Annotated[tuple[str, ...], Doc("Files of random pages of a crawl, the negative examples.")]
    filters: Annotated[PageFilters, Doc("Filters that pages of both classes must pass.")] = field(
        default_factory=PageFilters
    )
    max_pages: Annotated[int, Doc("Maximum number of pages per class."), Range(1)] = 100_000

    def __post_init__(self) -> None:
        settle(self, "quality_classifier")
        for side in ("reference", "crawl"):
            if not getattr(self, side):
                raise ConfigurationError(
                    f"quality_classifier: no {side} pages, expected files of reference and of crawl pages"
                )

    def digests(self) -> dict[str, str]:
        """Return the sha256 of every file by side and place in the list: no path, for the same pages may lie elsewhere.

        Raises:
            InputError: a file is missing.
        """
        return {
            f"{side}_{number}": _sha256(path)
            for side in ("reference", "crawl")
            for number, path in enumerate(getattr(self, side))
        }


def labelled_pages(pages: LabelledPages) -> tuple[list[Example], dict[str, int]]:
    """Return `(text, is a reference page)` for every page that passes the filters, and how many passed or left, by
    reason.

    Raises:
        InputError: a file is missing or cannot be read, or no page of a side passes.
    """
    counts = Counter[str]()
    sides: dict[bool, dict[str, str]] = {}
    for side, label in (("reference", True), ("crawl", False)):
        found = _sample(_passing(getattr(pages, side), pages.filters.stages, side, counts), pages.max_pages)
        if not found:
            raise InputError(f"quality_classifier: none of {counts[f'{side}_pages']:,} {side} pages passes the filters")
        sides[label] = {text: language for text, language in found.items() if text not in sides.get(True, {})}
    taken = _balanced(sides[True], sides[False])
    if not taken:
        raise InputError("quality_classifier: no language has both reference pages and crawl pages")
    for side, label in (("reference", True), ("crawl", False)):
        counts[f"{side}_pages_taken"] = sum(each is label for _, each in taken)
        left = len(sides[label]) - counts[f"{side}_pages_taken"]
        if left:
            counts[f"{side}_pages_left_out_for_their_language"] = left
    return taken, dict(sorted(counts.items()))


def _balanced(reference: Mapping[str, str], crawl: Mapping[str, str]) -> list[Example]:
    """Return pages of both sides in the same proportion to each other in every language, so that no language is a sign
    of quality: a language that one side lacks is left out. Both map a text to its language, in the order of preference.
    """
    languages = [Counter(side.values()) for side in (reference, crawl)]
    joint = [{language: each[language] for language in languages[0] & languages[1]} for each in languages]
    ratio = sum(joint[1].values()) / max(1, sum(joint[0].values()))
    most = {
        (language, True): min(joint[0][language], round(joint[1][language] / ratio) or 1) for language in joint[0]
    } | {(language, False): min(joint[1][language], round(joint[0][language] * ratio) or 1) for language in joint[1]}
    taken: list[Example] = []
    for label, side in ((True, reference), (False, crawl)):
        for text, language in side.items():
            if most.get((language, label), 0) > 0:
                most[language, label] -= 1
                taken.append((text, label))
    return taken


def _sample(pages: Iterator[tuple[str, str]], most: int) -> dict[str, str]:
    """Return the `most` distinct texts of the lowest hashes, with their languages."""
    by_hash = {hashlib.blake2b(page[0].encode("utf-8", "surrogatepass")).digest(): page for page in pages}
    return dict(by_hash[digest] for digest in sorted(by_hash)[:most])


def _passing(
    paths: Sequence[str], stages: Sequence[Stage], side: str, counts: Counter[str]
) -> Iterator[tuple[str, str]]:
    """Yield the text and the language of every page that passes."""
    for path in paths:
        for batch in _batches(Path(path)):
            counts[f"{side}_pages"] += batch.num_rows
            for stage in stages:
                batch, removed = stage(batch)
                if removed.num_rows:
                    counts[f"{side}_removed_by_{stage.name}"] += removed.num_rows
            yield from zip(batch.column("text").to_pylist(), batch.column("language").to_pylist(), strict=True)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a file of either kind."""
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected pages as WARC, WET or JSON Lines")
    if ".jsonl" in path.suffixes:
        texts = list(read_texts(path))
        for start in range(0, len(texts), _BATCH_DOCUMENTS):
            rows = [
                {"doc_id": f"{start + number}", "url": "", "text": text}
                for number, text in enumerate(texts[start : start + _BATCH_DOCUMENTS])
            ]
            yield pa.RecordBatch.from_pylist(rows, schema=_SCHEMA)
        return
    from pipelines.extract.records import extract_warc_files  # it loads the parsers

    file = WarcFile(path.name, path, path.stat().st_size, sha256_of(path))
    for batch in extract_warc_files([file], "pages"):
        yield batch.documents


def _sha256(path: str) -> str:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file, expected pages as WARC, WET or JSON Lines")
    return sha256_of(Path(path))
