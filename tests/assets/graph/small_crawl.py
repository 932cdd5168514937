"""A small crawl and its curation, as artifacts that are made here, so that a fault is exactly one."""

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from assets.graph.curation_checks import CHECKS
from assets.support.checks import Made
from lm import storage
from pipelines.curation.steps import CURATION, EXTRACTION
from pipelines.demo_crawl.configuration import TRUTH
from pipelines.demo_crawl.truth import TRUTH_SCHEMA
from pipelines.documents.schema import DOCUMENT_SCHEMA, REMOVAL_SCHEMA
from pipelines.documents.tables import DOCUMENTS, REMOVALS
from tests.pipelines.published import doc_id

GROUP = "demo/g0000"
WARC = b"the records of the built-in crawl"
EMAIL = "anna@example.org"
ITEM = "How many of the twelve red apples are left when each of the four children has eaten two?"
STEPS = [step.artifact for step in CURATION]
PARTITIONED = [step.artifact for step in CURATION if step.partitioned]

GOOD, FOREIGN, HARMFUL, LOW, COPY, DAMAGED = range(10), (10, 11), (12, 13), (14, 15), 16, 17
PERSONAL = 3
"""The page that names an address; `COPY` repeats page 0."""


def body(number):
    words = " ".join(f"word{number}x{place}" for place in range(40))
    return f"{words} write to {EMAIL} today" if number == PERSONAL else words


def truth():
    """The rows of `truth.parquet`."""
    for number in (*GOOD, *FOREIGN, *HARMFUL, *LOW, COPY, DAMAGED):
        text = body(0 if number == COPY else number)
        start = text.find(EMAIL)
        yield {
            "url": f"https://example.org/{number}",
            "doc_id": doc_id(number),
            "warc_file": "a.warc.gz",
            "world": "articles",
            "body_text": text,
            "language": "de" if number in FOREIGN else "en",
            "quality": "low" if number in LOW else "high",
            "harmful": ["toxic"] if number in HARMFUL else [],
            "pii": [{"kind": "email", "text": EMAIL, "start": start, "end": start + len(EMAIL)}] if start >= 0 else [],
            "duplicate_cluster": doc_id(0) if number in (0, COPY) else None,
            "duplicate_kind": "mirror" if number == COPY else None,
            "jaccard": 1.0 if number in (0, COPY) else None,
            "damage": "bad_digest" if number == DAMAGED else "none",
        }


@dataclass(frozen=True)
class Curated:
    """What became of the small crawl; a test replaces a field by a wrong one."""

    lost: frozenset = frozenset({DAMAGED})
    leaves: dict = field(
        default_factory=lambda: {
            **dict.fromkeys(FOREIGN, "language_documents"),
            LOW[0]: "prose_documents",
            **dict.fromkeys(HARMFUL, "harmless_documents"),
            LOW[1]: "quality_documents",
            COPY: "unique_documents",
        }
    )
    """The step that removes each document."""
    duplicate_of: dict = field(default_factory=lambda: {COPY: 0})
    extracted: Callable = body
    mask: str = "|||EMAIL_ADDRESS|||"
    leaked: frozenset = frozenset()
    """The documents of the corpus that quote an evaluation item."""
    missing: tuple = ("", -1)
    """A step, and the document that vanishes before it."""
    miscounted: tuple = ("", "")
    """A step, and the count of its summary that is one too many."""
    short: tuple = ("", "")
    """A step, and its table that lacks the last row."""
    crawl: bytes = WARC
    """The built-in crawl's file; the groups were made of `WARC`."""

    def publish(self, home, only=None, group=GROUP):
        """Publish all artifacts of the curation at `home`, or one alone."""
        waiting = [*GOOD, *FOREIGN, *HARMFUL, *LOW, COPY, DAMAGED]
        for step in CURATION:
            name = step.artifact
            waiting = [number for number in waiting if (name, number) != self.missing]
            lost = self.lost & set(waiting) if step is EXTRACTION else set()
            removed = [number for number in waiting if self.leaves.get(number) == name and number not in lost]
            kept = [number for number in waiting if number not in lost and number not in removed]
            if only in (None, name):
                self._publish(home, name, kept, removed, len(lost), group if step.partitioned else None)
            waiting = kept
        if only in (None, "added_documents"):
            self._publish(home, "added_documents", [], [], 0, None)
        if only is None:
            target = home.target("demo_crawl")
            with storage.publish(target, kind="demo_crawl", config={}, inputs={}, code="") as publication:
                (publication.path / "warc").mkdir()
                (publication.path / "warc" / "a.warc.gz").write_bytes(self.crawl)
                pq.write_table(pa.Table.from_pylist(list(truth()), TRUTH_SCHEMA), publication.path / TRUTH)

    def _publish(self, home, name, kept, removed, num_lost, group):
        counts = {
            "num_in": len(kept) + len(removed) + num_lost,
            "num_kept": len(kept),
            "num_removed": len(removed),
            "num_lost": num_lost,
            "evaluation_sets": {},
            "removed_by_rule": {"rule": len(removed)},
            "lost_by_reason": {"digest": num_lost} if num_lost else {},
        }
        if self.miscounted[0] == name:
            counts[self.miscounted[1]] += 1
        tables = {
            DOCUMENTS: pa.Table.from_pylist([self._document(name, number) for number in kept], DOCUMENT_SCHEMA),
            REMOVALS: pa.Table.from_pylist([self._removal(name, number) for number in removed], REMOVAL_SCHEMA),
        }
        target = home.target(name, group)
        inputs = {"a.warc.gz": hashlib.sha256(WARC).hexdigest()} if group else {GROUP: ""}
        with storage.publish(target, kind="documents", config={}, inputs=inputs, code="") as publication:
            for file, table in tables.items():
                rows = table.slice(0, table.num_rows - 1) if (name, file) == self.short else table
                pq.write_table(rows, publication.path / file)
            publication.summary.update(counts)

    def _document(self, step, number):
        text = self.extracted(0 if number == COPY else number)
        if STEPS.index(step) >= STEPS.index("masked_documents"):
            text = text.replace(EMAIL, self.mask)
        return {
            "doc_id": doc_id(number),
            "url": f"https://example.org/{number}",
            "crawl": "demo",
            "warc_path": "a.warc.gz",
            "warc_offset": number,
            "fetched_at": "2024-01-01T00:00:00Z",
            "text": f"{text} {ITEM.upper()}" if step == STEPS[-1] and number in self.leaked else text,
        }

    def _removal(self, step, number):
        winner = self.duplicate_of.get(number) if step == "unique_documents" else None
        return {
            "doc_id": doc_id(number),
            "url": f"https://example.org/{number}",
            "stage": step,
            "rule": "rule",
            "duplicate_of": None if winner is None else doc_id(winner),
        }


RIGHT = Curated()


def but(**fields):
    return dataclasses.replace(RIGHT, **fields)


def leaving(**steps):
    return but(leaves={**RIGHT.leaves, **{int(name[1:]): step for name, step in steps.items()}})


def staying(*numbers):
    return but(leaves={number: step for number, step in RIGHT.leaves.items() if number not in numbers})


def all_checks():
    """Every check, by asset and name."""
    return {f"{asset}.{check.name}": (asset, check) for asset, checks in CHECKS.items() for check in checks}


def made(home, asset, group=GROUP, groups=(GROUP,)):
    group = group if asset in PARTITIONED else None
    return Made(home=home, artifact=home.artifact(asset, group), group=group, groups=groups)


def result_of(name, home, **options):
    """The result of one check."""
    asset, check = all_checks()[name]
    return check.look(made(home, asset, **options))
