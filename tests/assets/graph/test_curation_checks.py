"""Every check of the curation passes on a small crawl that was curated rightly, and fails on the fault planted for it.

The artifacts are made here rather than by the curation, so that each fault is exactly one.
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.graph.curation_checks import CHECKS, FEWEST_OTHERS, GROUP_CHECKS
from assets.support.checks import Made
from assets.support.resources import LoamHome
from lm import storage
from pipelines.curation.steps import CURATION, EXTRACTION
from pipelines.decontamination.items import EvaluationSet, publish_evaluation_items
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


BODY = "raw_documents.text_is_the_body"
DAMAGE = "raw_documents.only_damaged_records_are_lost"
FEW_LOST = "raw_documents.few_records_are_lost"
LANGUAGE = "language_documents.other_languages_are_removed"
HARM = "harmless_documents.harmful_pages_are_removed"
QUALITY = "quality_documents.low_quality_is_removed"
MASKS = "masked_documents.personal_data_is_masked"
DUPLICATES = "unique_documents.duplicates_are_found"
DUPLICATE_RATE = "unique_documents.duplicate_rate_is_usual"
ITEMS_LEFT = "clean_documents.no_evaluation_item_is_left"
OF_TRUTH = {BODY, DAMAGE, LANGUAGE, HARM, QUALITY, MASKS, DUPLICATES}

FAULTS = {
    "a menu stands around every text": (but(extracted=lambda number: f"{'menu ' * 30}{body(number)}"), {BODY}),
    "half of every text is missing": (but(extracted=lambda number: body(number)[-180:]), {BODY}),
    "a sound record is lost": (but(lost=RIGHT.lost | {5}), {DAMAGE, FEW_LOST}),
    "half of the records are lost": (but(lost=RIGHT.lost | set(range(8))), {DAMAGE, FEW_LOST}),
    "the crawl's file is another now": (but(crawl=WARC[:16]), OF_TRUTH),
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
    "most documents leave as duplicates": (
        dataclasses.replace(
            leaving(**{f"_{number}": "unique_documents" for number in range(1, 10)}),
            duplicate_of=dict.fromkeys([COPY, *range(1, 10)], 0),
        ),
        {DUPLICATES, DUPLICATE_RATE},
    ),
    "a document vanishes before decontamination": (
        but(missing=("clean_documents", 5)),
        {"clean_documents.accounts_are_exact"},
    ),
}
"""By what is wrong: the crawl as it was curated, and the checks that must fail, no other."""


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
    """Every check, by asset and name."""
    return {f"{asset}.{check.name}": (asset, check) for asset, checks in CHECKS.items() for check in checks}


def made(home, asset, group=GROUP, groups=(GROUP,)):
    group = group if asset in PARTITIONED else None
    return Made(home=home, artifact=home.artifact(asset, group), group=group, groups=groups)


def result_of(name, home, **options):
    """The result of one check."""
    asset, check = all_checks()[name]
    return check.look(made(home, asset, **options))


def evaluate(home):
    """The result of every check."""
    return {name: result_of(name, home) for name in all_checks()}


def failed(results):
    return {name for name, result in results.items() if not result.passed}


def unmeasured(results):
    return {name for name, result in results.items() if result.description.startswith("not measured")}


COMPARING = {f"{name}.share_kept_is_usual" for name in PARTITIONED} | {"harmless_documents.harm_rate_is_expected"}
"""Checks that need other groups, or classifiers; tests of their own show them."""


def test_a_right_curation_passes_every_check(home):
    results = evaluate(home)
    assert failed(results) == set()
    assert unmeasured(results) == COMPARING
    assert all(result.description and "\n" not in result.description for result in results.values())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails_its_checks_and_no_other(home, fault):
    curated, expected = FAULTS[fault]
    curated.publish(home)
    results = evaluate(home)
    RIGHT.publish(home)
    assert failed(results) == expected


@pytest.mark.parametrize("name", [*STEPS, "added_documents"])
def test_accounts_that_are_wrong_by_one_are_seen(home, name):
    check = f"{name}.accounts_are_exact"
    counts = [but(miscounted=(name, count)) for count in ("num_in", "num_kept", "num_removed", "num_lost")]
    tables = [but(short=(name, file)) for file in (DOCUMENTS, REMOVALS)]
    for wrong in (*counts, *tables):
        before = made(home, name).artifact.digest
        wrong.publish(home, only=name)
        changed = made(home, name).artifact.digest != before
        result = result_of(check, home)
        RIGHT.publish(home, only=name)
        assert result.passed is not changed, wrong  # a table without rows cannot lack one
    assert result_of(check, home).passed


@pytest.mark.parametrize("name", STEPS[1:])
def test_a_document_that_vanishes_between_two_steps_is_seen(home, name):
    but(missing=(name, 5)).publish(home)
    result = result_of(f"{name}.accounts_are_exact", home)
    RIGHT.publish(home)
    assert not result.passed and "came from the step before" in result.description


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_keeps_nothing_is_seen(home, name):
    but(leaves=dict.fromkeys([*GOOD, *FOREIGN, *HARMFUL, *LOW, COPY], name)).publish(home)
    result = result_of(f"{name}.documents_remain", home)
    RIGHT.publish(home)
    assert not result.passed and result.description.startswith("0 of ")


OTHERS = [f"demo/g{number:04d}" for number in range(1, FEWEST_OTHERS + 1)]


@pytest.mark.fault(42)
def test_a_group_that_keeps_another_share_than_the_others_is_seen(home, tmp_path):
    """Also beside keys that are no groups, groups without artifacts and other crawls."""
    name = "language_documents"
    home = LoamHome(path=str(shutil.copytree(home.root, tmp_path / "home")))
    for group, leaves in [(GROUP, range(9)), *((other, FOREIGN) for other in OTHERS)]:
        but(leaves=dict.fromkeys(leaves, name)).publish(home, only=name, group=group)
    registered = ["mycrawl", "demo/g0099", "other/g0000", GROUP, *OTHERS]
    check = f"{name}.share_kept_is_usual"
    assert not result_of(check, home, groups=registered).passed
    assert result_of(check, home, group=OTHERS[0], groups=registered).passed is True
    few = result_of(check, home, groups=registered[:5])
    assert few.passed and few.description.startswith("not measured: 1 other groups")


def classifiers(home, name, **summary):
    found = {"toxic": {"by_length": [{"false_positive_rate": 0.005}]}, "adult": {"by_length": []}}
    with storage.publish(home.target(name), kind=name, config={}, inputs={}, code="") as publication:
        (publication.path / "measurements.json").write_text(json.dumps(found))
        publication.summary.update(summary)


def judged(home, asset, stage, group, settings, toxic=0):
    """A step's artifact, with the settings that it was made from and the number removed as toxic of a hundred."""
    target = home.target(asset, group)
    config = {"stage": stage, "settings": settings}
    with storage.publish(target, kind="documents", config=config, inputs={}, code="") as publication:
        (publication.path / "x").write_text("x")
        publication.summary.update(num_in=100, num_kept=100 - toxic, removed_by_rule={"toxic": toxic})


@pytest.mark.parametrize(("toxic", "passed"), [(0, True), (9, True), (12, False)])
def test_a_rate_of_harm_far_from_the_held_out_one_is_seen(tmp_path, toxic, passed):
    home = LoamHome(path=str(tmp_path))
    classifiers(home, "harm_classifiers")
    judged(home, "harmless_documents", "harmful", "wget/g0000", {"judge": "classifier"}, toxic)
    result = result_of("harmless_documents.harm_rate_is_expected", home, group="wget/g0000")
    assert result.passed is passed and f"{toxic}.0% removed as toxic" in result.description


@pytest.mark.fault(44)
@pytest.mark.parametrize(
    ("asset", "stage", "name"),
    [("harmless_documents", "harmful", "harm_classifiers"), ("quality_documents", "quality", "quality_classifier")],
)
@pytest.mark.parametrize(
    ("crawl", "judge", "built_in", "passed"),
    [
        ("demo", "classifier", True, True),
        ("wget", "classifier", False, True),
        ("wget", "classifier", True, False),
        ("wget", "none", False, False),
        ("demo", "none", True, False),
    ],
)
def test_documents_that_were_not_judged_rightly_are_seen(tmp_path, asset, stage, name, crawl, judge, built_in, passed):
    home, group = LoamHome(path=str(tmp_path)), f"{crawl}/g0000"
    classifiers(home, name, built_in_labels=built_in)
    judged(home, asset, stage, group, {"judge": judge})
    check = all_checks()[f"{asset}.documents_are_judged"][1]
    result = check.look(made(home, asset, group))
    assert result.passed is passed
    assert check.warns and not check.blocking
    assert ("not judged" in result.description) is (judge == "none")


SEEN_ELSEWHERE = {f"{name}.{check}" for name in STEPS for check in ("accounts_are_exact", "documents_remain")} | {
    "added_documents.accounts_are_exact", "harmless_documents.documents_are_judged",
    "quality_documents.documents_are_judged", *COMPARING,
}  # fmt: skip
"""Checks that tests of their own see failing."""


def test_every_check_is_seen_failing():
    assert set().union(*(expected for _, expected in FAULTS.values())) | SEEN_ELSEWHERE == set(all_checks())


def test_accounts_and_decontamination_block():
    blocking = {name for name, (_, check) in all_checks().items() if check.blocking}
    assert blocking == {name for name in all_checks() if name.endswith("accounts_are_exact")} | {ITEMS_LEFT}
    of_groups = {f"{asset}.{each.name}" for asset, checks in GROUP_CHECKS.items() for each in checks if each.blocking}
    assert of_groups == {f"{name}.accounts_are_exact" for name in PARTITIONED}


def test_a_real_crawl_is_not_measured_and_has_no_figures(home, tmp_path):
    """Even where the built-in crawl lies beside it, file by file the same."""
    home = LoamHome(path=str(shutil.copytree(home.root, tmp_path / "home")))
    for name in PARTITIONED:
        RIGHT.publish(home, only=name, group="wget/g0000")
    results = {}
    for name, (asset, check) in all_checks().items():
        if asset in PARTITIONED:
            results[name] = check.look(made(home, asset, "wget/g0000", [GROUP, "wget/g0000"]))
            assert check.severity(results[name]).value == "WARN" or name not in OF_TRUTH
    assert failed(results) == set()
    assert unmeasured(results) >= OF_TRUTH - {DUPLICATES}
    assert all(not results[name].figures for name in unmeasured(results))


def test_a_corpus_with_another_crawl_in_it_is_not_measured(home, tmp_path):
    home = LoamHome(path=str(shutil.copytree(home.root, tmp_path / "home")))
    RIGHT.publish(home, only="masked_documents", group="wget/g0000")
    artifact = dataclasses.replace(home.artifact("unique_documents"), inputs={GROUP: "", "wget/g0000": ""})
    _, check = all_checks()[DUPLICATES]
    result = check.look(Made(home=home, artifact=artifact))
    assert result.passed and result.description == "not measured: there is no ground truth for the crawl wget"
