"""Decontamination of a whole corpus: passages shared with evaluation items are cut, or their documents removed.

A document that shares a run of 13 words with an evaluation item is contaminated (`pipelines.decontamination.index`
defines shared runs). Two actions:

    remove    remove the document
    cut       remove the shared run, `margin_characters` on either side, and pieces shorter than `min_piece_characters`;
              a document that would fall into more than `max_pieces` pieces is removed

Decisions:
- Cutting, 200 characters and 10 pieces follow Brown et al. 2020, arXiv:2005.14165, appendix C. There each piece becomes
  a document; here the pieces stay one document, with an empty line at each cut, so that a doc_id names one document all
  the way to the gradient.
- A cut ends between words: it grows outward to the next white space, by up to `_WORD_REACH` characters.
- The joined pieces are searched again, since two pieces may form an item that neither contains; then the document is
  removed. So no searched item remains, whatever the text.
- Brown et al. spare n-grams in more than 10 documents as common phrases. Loam does not: a leaked question with eleven
  copies would stay. `matches.parquet` lists the common n-grams, so that a set can be changed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lm import progress, storage
from lm.configuration import Doc, Range, settle, to_mapping
from lm.storage import Artifact, Publication
from pipelines.decontamination.index import EvaluationIndex, Overlap, found_items, load_index
from pipelines.decontamination.items import ITEMS
from pipelines.documents.accounts import DOCUMENTS_KIND, Counts, PartitionWriter
from pipelines.documents.schema import Judgement, Stage, Verdict, judged
from pipelines.documents.tables import TableWriter
from pipelines.documents.view import count_documents, read_documents, read_schema

STAGE, MATCHES = "decontaminate", "matches.parquet"
NUM_CUT = "num_cut_passages"

MATCH_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("evaluation_set", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("num_items", pa.int32(), nullable=False),
        pa.field("ngram", pa.string(), nullable=False),
        pa.field("num_words", pa.int32(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
    ]
)
"""One shared run of one document. `item` of `num_items` shares most of it; `ngram` is its first n-gram in normalized
words; `start` and `end` count characters of the text as it came in; `outcome` is `cut` or `removed`."""

_WORD_REACH = 64
_JOINT = "\n\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class DecontaminationConfig:
    """The definition of a shared run, and the treatment of contaminated documents.

    Raises:
        ConfigurationError: at construction, a value out of its range.
    """

    action: Annotated[
        Literal["cut", "remove"], Doc("Cut the shared passage out of a document, or remove the document.")
    ] = "cut"
    ngram: Annotated[
        int, Doc("Consecutive words that a document must share with an evaluation item."), Range(1, 1_000)
    ] = 13
    min_item_words: Annotated[
        int, Doc("Minimum words of an item shorter than the n-gram; such an item is searched as a whole."), Range(1)
    ] = 8
    margin_characters: Annotated[int, Doc("Characters cut on either side of a shared passage."), Range(0)] = 200
    min_piece_characters: Annotated[
        int, Doc("Minimum characters of a piece between or beside cuts; shorter pieces are removed."), Range(0)
    ] = 200
    max_pieces: Annotated[
        int, Doc("Maximum pieces of a cut document; a document with more pieces is removed."), Range(1)
    ] = 10

    def __post_init__(self) -> None:
        settle(self, "decontamination")


class _Outcome(NamedTuple):
    """The result for one document: its text, or the verdict that removes it, and its shared runs."""

    text: str
    verdict: Verdict | None
    overlaps: Sequence[Overlap]


@dataclass(frozen=True, kw_only=True)
class Decontaminator(Stage):
    """Stage that cuts shared runs or removes their documents; adds `num_cut_passages`."""

    items_path: str
    items_sha256: str
    config: DecontaminationConfig = field(default_factory=DecontaminationConfig)

    name: ClassVar[str] = STAGE

    @property
    def index(self) -> EvaluationIndex:
        """The items as an index, made once a process."""
        return load_index(self.items_path, self.items_sha256, self.config.ngram, self.config.min_item_words)

    def judge(self, batch: pa.RecordBatch) -> Judgement:
        """Judge a batch of documents."""
        return self.judge_with_overlaps(batch)[0]

    def judge_with_overlaps(self, batch: pa.RecordBatch) -> tuple[Judgement, list[tuple[int, _Outcome]]]:
        """Return the judgement, and the row and outcome of every contaminated document."""
        column = batch.column("text")
        suspects = np.flatnonzero(self.index.suspects(column)).tolist()
        shared = [(row, found) for row in suspects if (found := self._judge(column[row].as_py())).overlaps]
        verdicts: list[Verdict | None] = [None] * batch.num_rows
        num_cut = np.zeros(batch.num_rows, np.int32)
        texts = column
        if shared:
            rewritten = column.to_pylist()
            for row, found in shared:
                rewritten[row], verdicts[row], num_cut[row] = found.text, found.verdict, len(found.overlaps)
            texts = pa.array(rewritten, column.type)
        return judged(batch, verdicts, {"text": texts, NUM_CUT: pa.array(num_cut)}), shared

    def _judge(self, text: str) -> _Outcome:
        overlaps = self.index.overlaps(text)
        if not overlaps:
            return _Outcome(text, None, overlaps)
        longest = max(overlaps, key=lambda overlap: overlap.num_words)
        found = Verdict(rule=f"shares_{longest.item.set}", value=longest.num_words, threshold=self.config.ngram)
        if self.config.action == "remove":
            return _Outcome(text, found, overlaps)
        pieces = cut_pieces(text, [(overlap.start, overlap.end) for overlap in overlaps], self.config.margin_characters)
        if len(pieces) > self.config.max_pieces:
            return _Outcome(text, Verdict(rule="pieces", value=len(pieces), threshold=self.config.max_pieces), overlaps)
        left = _JOINT.join(piece for piece in pieces if len(piece) >= max(1, self.config.min_piece_characters))
        if not left:
            most = max(map(len, pieces), default=0)
            verdict = Verdict(rule="piece_length", value=most, threshold=self.config.min_piece_characters)
            return _Outcome(text, verdict, overlaps)
        return _Outcome(left, found if self.index.overlaps(left) else None, overlaps)


def cut_pieces(text: str, spans: Sequence[tuple[int, int]], margin: int) -> list[str]:
    """Return the remaining pieces of `text`, stripped and not empty, without each of the ascending `spans` and `margin`
    characters on either side, in whole words.
    """
    pieces, position = [], 0
    for start, end in spans:
        cut_start = _border(text, max(0, start - margin), -1)
        pieces.append(text[position : max(position, cut_start)].strip())
        position = max(position, _border(text, min(len(text), end + margin), 1))
    pieces.append(text[position:].strip())
    return [piece for piece in pieces if piece]


def decontaminate_corpus(
    documents: Artifact,
    items: Artifact,
    target: Path,
    config: DecontaminationConfig | None = None,
    added: Artifact | None = None,
) -> Artifact:
    """Decontaminate `documents`, then `added`, and publish `documents.parquet`, `removals.parquet` and
    `matches.parquet`.

    `items` are of `publish_evaluation_items`. `added` documents (of `publish_added_documents`) were not judged before:
    their verdict columns are empty.

    Raises:
        NoSpaceError: the disk is full.
    """
    config = config or DecontaminationConfig()
    stage = _stage(items, config)
    sources = [documents, *([added] if added is not None and added.summary["num_kept"] else [])]
    return storage.make(
        target,
        functools.partial(_write, sources, stage),
        kind=DOCUMENTS_KIND,
        config={"stage": STAGE, **to_mapping(config)},
        inputs={
            "documents": documents.digest,
            "items": items.files[ITEMS].sha256,
            **({"added": added.digest} if len(sources) > 1 and added else {}),
        },
    )


def contaminated_documents(documents: Artifact, items: Artifact, config: DecontaminationConfig) -> list[str]:
    """Return the ids of the documents that share a run with `items`; none for a corpus that `decontaminate_corpus`
    published.
    """
    index = _stage(items, config).index
    return [
        batch.column("doc_id")[row].as_py()
        for batch in read_documents(documents, ["doc_id", "text"])
        for row in np.flatnonzero(index.suspects(batch.column("text"))).tolist()
        if index.overlaps(batch.column("text")[row].as_py())
    ]


def first_matches(corpus: Artifact, number: int = 10) -> list[dict[str, Any]]:
    """Return the first rows of a corpus's `MATCH_SCHEMA`."""
    rows: list[dict[str, Any]] = pq.read_table(corpus.file(MATCHES)).slice(0, number).to_pylist()
    return rows


def sets_of(corpus: Artifact) -> list[dict[str, Any]]:
    """Return for each evaluation set the number of items, of searchable items (long enough), and of items found in
    part.
    """
    return [{"evaluation_set": name, **counts} for name, counts in corpus.summary["evaluation_sets"].items()]


def _stage(items: Artifact, config: DecontaminationConfig) -> Decontaminator:
    return Decontaminator(items_path=str(items.file(ITEMS)), items_sha256=items.files[ITEMS].sha256, config=config)


def _write(sources: Sequence[Artifact], stage: Decontaminator, publication: Publication) -> None:
    counts, found, num_cut = Counts(), set[int](), 0
    columns = read_schema(sources[0])
    schema = stage.judge(pa.RecordBatch.from_pylist([], schema=columns)).documents.schema
    with (
        PartitionWriter(publication.path, schema) as writer,
        TableWriter(publication.path / MATCHES, MATCH_SCHEMA) as matches,
        progress.bar(STAGE, total=sum(map(count_documents, sources)), unit="doc") as bar,
    ):
        for batch in (_widened(batch, columns) for source in sources for batch in read_documents(source)):
            judgement, shared = stage.judge_with_overlaps(batch)
            counts.judge(batch, judgement)
            writer.write(*judgement.split(STAGE))
            matches.write(pa.RecordBatch.from_pylist(list(_matches(batch, shared)), schema=MATCH_SCHEMA))
            found.update(place for _, each in shared for overlap in each.overlaps for place in overlap.items)
            num_cut += sum(each.verdict is None for _, each in shared)
            bar.update(batch.num_rows)
        num_matches = matches.num_rows
    publication.summary.update(
        counts.summary(STAGE),
        num_cut=num_cut,
        num_matches=num_matches,
        evaluation_sets=found_items(stage.index, found),
    )


def _widened(batch: pa.RecordBatch, columns: pa.Schema) -> pa.RecordBatch:
    """Return the batch with all `columns`; columns without a verdict are empty."""
    return pa.RecordBatch.from_arrays(
        [
            batch.column(column.name) if column.name in batch.schema.names else pa.nulls(batch.num_rows, column.type)
            for column in columns
        ],
        schema=columns,
    )


def _matches(batch: pa.RecordBatch, shared: Sequence[tuple[int, _Outcome]]) -> Sequence[Mapping[str, Any]]:
    """Return the rows of `MATCH_SCHEMA`."""
    return [
        {
            "doc_id": batch.column("doc_id")[row].as_py(),
            "url": batch.column("url")[row].as_py(),
            "evaluation_set": overlap.item.set,
            "item": overlap.item.item,
            "field": overlap.item.field,
            "num_items": len(overlap.items),
            "ngram": overlap.ngram,
            "num_words": overlap.num_words,
            "start": overlap.start,
            "end": overlap.end,
            "outcome": "cut" if each.verdict is None else "removed",
        }
        for row, each in shared
        for overlap in each.overlaps
    ]


def _border(text: str, position: int, step: int) -> int:
    """Return the nearest border between words at or beyond `position`, forward or backward; `position` where none is
    near.
    """
    for distance in range(_WORD_REACH):
        place = position + step * distance
        if not 0 < place < len(text):
            return min(max(place, 0), len(text))
        if text[place - 1].isspace() or text[place].isspace():
            return place
    return position
