"""Every check of the curation passes on a small crawl that was curated rightly, and fails on the fault planted for it
(`tests.assets.graph.small_crawl`).
"""

import dataclasses
import json
import shutil

import pytest

from assets.graph.curation_checks import FEWEST_OTHERS, GROUP_CHECKS
from assets.support.checks import Made
from assets.support.resources import LoamHome
from lm import storage
from pipelines.decontamination.items import EvaluationSet, publish_evaluation_items
from pipelines.documents.tables import DOCUMENTS, REMOVALS
from tests.assets.graph.small_crawl import (
    COPY,
    EMAIL,
    FOREIGN,
    GOOD,
    GROUP,
    HARMFUL,
    ITEM,
    LOW,
    PARTITIONED,
    RIGHT,
    STEPS,
    WARC,
    all_checks,
    body,
    but,
    leaving,
    made,
    result_of,
    staying,
)

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
    assert not result.passed and "kept by the previous step" in result.description


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_keeps_nothing_is_seen(home, name):
    but(leaves=dict.fromkeys([*GOOD, *FOREIGN, *HARMFUL, *LOW, COPY], name)).publish(home)
    result = result_of(f"{name}.documents_remain", home)
    RIGHT.publish(home)
    assert not result.passed and result.description.startswith("0 of ")


OTHERS = [f"demo/g{number:04d}" for number in range(1, FEWEST_OTHERS + 1)]


@pytest.mark.fault(42)
def test_a_group_that_keeps_another_share_than_the_others_is_seen(home, tmp_path):
    """Also beside keys that are not groups, groups without artifacts and other crawls."""
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


def judged(home, asset, stage, group, settings, toxic=0, files=()):
    """A step's artifact of some WARC files, with the settings that it was made from and the number removed as toxic of
    a hundred.
    """
    target = home.target(asset, group)
    config = {"stage": stage, "settings": settings}
    with storage.publish(target, kind="documents", config=config, inputs=dict(files), code="") as publication:
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
    ("crawl", "own", "judge", "built_in", "passed"),
    [
        ("demo", True, "classifier", True, True),
        ("copy", True, "classifier", True, True),
        ("wget", False, "classifier", False, True),
        ("wget", False, "classifier", True, False),
        ("demo", False, "classifier", True, False),
        ("wget", False, "none", False, False),
        ("demo", True, "none", True, False),
    ],
)
def test_documents_that_were_not_judged_rightly_are_seen(
    tmp_path, asset, stage, name, crawl, own, judge, built_in, passed
):
    """The pages tell whether they are the built-in crawl's, not its name."""
    home, group = LoamHome(path=str(tmp_path)), f"{crawl}/g0000"
    classifiers(home, name, built_in_labels=built_in)
    with storage.publish(home.target("demo_crawl"), kind="demo_crawl", config={}, inputs={}, code="") as publication:
        (publication.path / "a.warc.gz").write_text("x")
    digest = home.artifact("demo_crawl").files["a.warc.gz"].sha256 if own else "0" * 64
    judged(home, asset, stage, group, {"judge": judge}, files={"a.warc.gz": digest})
    check = all_checks()[f"{asset}.documents_are_judged"][1]
    result = check.look(made(home, asset, group))
    assert result.passed is passed
    assert check.warns and not check.blocking
    assert ("without scoring" in result.description) is (judge == "none")


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
