"""Every check of the curation passes on a small crawl that was curated rightly, and fails on the fault planted for it.

The artifacts are made here rather than by the curation, so that each fault is exactly one.
"""

import dataclasses
import inspect
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.automation.jobs import demo_partitions
from assets.graph import curation_checks
from assets.support.resources import LoamHome
from lm import storage
from pipelines.curation.steps import CURATION, EXTRACTION
from pipelines.decontamination.items import EvaluationSet, publish_evaluation_items
from pipelines.demo_crawl.configuration import TRUTH
from pipelines.demo_crawl.truth import TRUTH_SCHEMA
from pipelines.documents.schema import DOCUMENT_SCHEMA, REMOVAL_SCHEMA
from pipelines.documents.tables import DOCUMENTS, REMOVALS
from tests.pipelines.published import doc_id

GROUP = demo_partitions()[0]
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

    def publish(self, home, only=None):
        """Publish all artifacts of the curation at `home`, or one alone."""
        waiting = [*GOOD, *FOREIGN, *HARMFUL, *LOW, COPY, DAMAGED]
        for step in CURATION:
            name = step.artifact
            waiting = [number for number in waiting if (name, number) != self.missing]
            lost = self.lost & set(waiting) if step is EXTRACTION else set()
            removed = [number for number in waiting if self.leaves.get(number) == name and number not in lost]
            kept = [number for number in waiting if number not in lost and number not in removed]
            if only in (None, name):
                self._publish(home, name, kept, removed, len(lost), GROUP if step.partitioned else None)
            waiting = kept
        if only in (None, "added_documents"):
            self._publish(home, "added_documents", [], [], 0, None)
        if only is None:
            target = home.target("demo_crawl")
            with storage.publish(target, kind="demo_crawl", config={}, inputs={}, code="") as publication:
                pq.write_table(pa.Table.from_pylist(list(truth()), TRUTH_SCHEMA), publication.path / TRUTH)

    def _publish(self, home, name, kept, removed, num_lost, group):
        counts = {
            "num_in": len(kept) + len(removed) + num_lost,
            "num_kept": len(kept),
            "num_removed": len(removed),
            "num_lost": num_lost,
            "evaluation_sets": {},
        }
        if self.miscounted[0] == name:
            counts[self.miscounted[1]] += 1
        tables = {
            DOCUMENTS: pa.Table.from_pylist([self._document(name, number) for number in kept], DOCUMENT_SCHEMA),
            REMOVALS: pa.Table.from_pylist([self._removal(name, number) for number in removed], REMOVAL_SCHEMA),
        }
        target = home.target(name, group)
        with storage.publish(target, kind="documents", config={}, inputs={}, code="") as publication:
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


BODY = "raw_documents.text_is_the_body"
DAMAGE = "raw_documents.only_damaged_records_are_lost"
LANGUAGE = "language_documents.other_languages_are_removed"
HARM = "harmless_documents.harmful_pages_are_removed"
QUALITY = "quality_documents.low_quality_is_removed"
MASKS = "masked_documents.personal_data_is_masked"
DUPLICATES = "unique_documents.duplicates_are_found"
ITEMS_LEFT = "clean_documents.no_evaluation_item_is_left"

FAULTS = {
    "a menu stands around every text": (but(extracted=lambda number: f"{'menu ' * 30}{body(number)}"), {BODY}),
    "half of every text is missing": (but(extracted=lambda number: body(number)[-180:]), {BODY}),
    "a sound record is lost": (but(lost=RIGHT.lost | {5}), {DAMAGE}),
    "a damaged record is read": (but(lost=frozenset()), {DAMAGE}),
    "a German page stays": (staying(FOREIGN[0]), {LANGUAGE}),
    "an English page leaves by its language": (leaving(_5="language_documents"), {LANGUAGE}),
    "a toxic page stays": (staying(HARMFUL[0]), {HARM, QUALITY}),
    "a harmless page leaves as toxic": (leaving(_5="harmless_documents"), {HARM, QUALITY}),
    "a page of low quality stays": (staying(LOW[1]), {QUALITY}),
    "a good page leaves by a heuristic": (leaving(_5="prose_documents"), {QUALITY}),
    "a good page leaves by repetition": (leaving(_5="varied_documents"), {QUALITY}),
    "an address stays in the text": (but(mask=EMAIL), {MASKS}),
    "a copy stays": (staying(COPY), {DUPLICATES}),
    "a page leaves as the copy of another": (
        dataclasses.replace(leaving(_5="unique_documents"), duplicate_of={COPY: 0, 5: 6}),
        {DUPLICATES},
    ),
    "an evaluation item stays": (
        but(leaked=frozenset({7})),
        {ITEMS_LEFT},
    ),
    "a document vanishes before decontamination": (
        but(missing=("clean_documents", 5)),
        {"clean_documents.accounts_are_exact"},
    ),
}
"""By what is wrong: the crawl as it was curated, and the checks that must fail, no other."""


@pytest.fixture(scope="module")
def context():
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("warc_groups", [GROUP])
        yield dg.build_asset_check_context(instance=instance)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home whose crawl was curated rightly; a test that plants a fault publishes the right artifacts again."""
    folder = tmp_path_factory.mktemp("curated")
    home = LoamHome(path=str(folder / "home"))
    path = folder / "exam.jsonl"
    path.write_text(json.dumps({"question": ITEM}) + "\n")
    publish_evaluation_items([EvaluationSet(name="exam", path=str(path))], home.target("evaluation_items"))
    RIGHT.publish(home)
    return home


def all_checks():
    """Every check of the module, by asset and name."""
    listed = [*curation_checks.ACCOUNTS, *curation_checks.CORPUS_ACCOUNTS, *vars(curation_checks).values()]
    definitions = [each for each in listed if isinstance(each, dg.AssetChecksDefinition)]
    return {f"{key.asset_key.to_user_string()}.{key.name}": each for each in definitions for key in each.check_keys}


def result_of(name, context, home):
    """The result of one check."""
    check = all_checks()[name]
    takes = inspect.signature(check.op.compute_fn.decorated_fn).parameters
    return check(context, home=home) if "context" in takes else check(home=home)


def evaluate(context, home):
    """The result of every check."""
    return {name: result_of(name, context, home) for name in all_checks()}


def failed(results):
    return {name for name, result in results.items() if not result.passed}


def test_a_right_curation_passes_every_check(context, home):
    results = evaluate(context, home)
    assert failed(results) == set()
    assert not any(result.description for result in results.values())  # nothing is "not measured"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails_its_checks_and_no_other(context, home, fault):
    curated, expected = FAULTS[fault]
    curated.publish(home)
    results = evaluate(context, home)
    RIGHT.publish(home)
    assert failed(results) == expected


@pytest.mark.parametrize("name", [*STEPS, "added_documents"])
def test_accounts_that_are_wrong_by_one_are_seen(context, home, name):
    check = f"{name}.accounts_are_exact"
    counts = [but(miscounted=(name, count)) for count in ("num_in", "num_kept", "num_removed", "num_lost")]
    tables = [but(short=(name, file)) for file in (DOCUMENTS, REMOVALS)]
    for wrong in (*counts, *tables):
        before = storage.open_artifact(home.target(name, GROUP if name in PARTITIONED else None)).digest
        wrong.publish(home, only=name)
        changed = storage.open_artifact(home.target(name, GROUP if name in PARTITIONED else None)).digest != before
        result = result_of(check, context, home)
        RIGHT.publish(home, only=name)
        assert result.passed is not changed, wrong  # a table without rows cannot lack one
    assert result_of(check, context, home).passed


def test_every_check_is_seen_failing():
    seen = set().union(*(expected for _, expected in FAULTS.values()))
    accounts = {f"{name}.accounts_are_exact" for name in (*STEPS, "added_documents")}
    assert seen | accounts == set(all_checks())


def test_groups_that_were_not_curated_have_no_exact_accounts(context, tmp_path):
    for name in PARTITIONED:
        assert not result_of(f"{name}.accounts_are_exact", context, LoamHome(path=str(tmp_path))).passed


def test_a_crawl_without_truth_is_not_measured(context, home, tmp_path):
    """As real crawls are: the check passes with a warning that says so."""
    shutil.copytree(home.root, tmp_path / "home")
    shutil.rmtree(tmp_path / "home" / "artifacts" / "demo_crawl")
    results = evaluate(context, LoamHome(path=str(tmp_path / "home")))
    assert failed(results) == set()
    unmeasured = {name for name, result in results.items() if (result.description or "").startswith("not measured")}
    assert unmeasured == {BODY, DAMAGE, LANGUAGE, HARM, QUALITY, MASKS, DUPLICATES}
    assert all(results[name].severity == dg.AssetCheckSeverity.WARN for name in unmeasured)
