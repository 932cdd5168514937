"""The classifiers' assets: labels of one kind of harm, and checks that see a classifier that misjudges long pages."""

import csv
import json
import shutil
from types import SimpleNamespace

import dagster as dg
import pytest

from assets.graph import classifiers
from pipelines.filters.trained import HarmfulConfig, harmful_stage
from tests.assets.runs import artifact, failure, materialize
from tests.pipelines.filters.test_harmful import CLEAN, TOXIC, batch, passage

ROWS = [(passage(TOXIC if number % 2 else CLEAN, number), number % 2 == 1) for number in range(160)]
QUICK = {"classifier": {"min_examples_seen": 2_000, "num_buckets": 1_000}}


def json_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def table(path):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("comment", "class"), *((text, "hate" if label else "none") for text, label in ROWS)])
    return str(path)


def toxic_field_alone(folder):
    return {"labels": json_lines(folder / "labels.jsonl", ({"text": t, "toxic": label} for t, label in ROWS))}


def adult_field_never_true(folder):
    rows = ({"text": t, "toxic": label, "adult": False} for t, label in ROWS)
    return {"labels": json_lines(folder / "labels.jsonl", rows)}


def toxic_file_alone(folder):
    return {"toxic": {"path": table(folder / "t.csv"), "text": "comment", "label": "class", "positive": ["hate"]}}


def joint_file_with_another_field(folder):
    return {
        "labels": table(folder / "t.csv"),
        "toxic": {"text": "comment", "label": "class", "positive": ["hate"]},
        "adult": {"path": table(folder / "a.csv"), "text": "comment", "label": "class", "positive": ["hate"]},
    }


@pytest.mark.parametrize("labels", [toxic_field_alone, adult_field_never_true, toxic_file_alone])
def test_toxic_labels_alone_are_enough(tmp_path, labels):
    home = tmp_path / "home"
    with dg.DagsterInstance.ephemeral() as instance:
        config = {"harm_classifiers": labels(tmp_path) | QUICK}
        assert materialize(instance, home, ["harm_classifiers"], config=config).success
    trained = artifact(home, "harm_classifiers")
    assert trained.summary["kinds_without_labels"] == ["adult"]
    kept, removed = harmful_stage(HarmfulConfig(), trained)(batch(passage(CLEAN, 500, 90), passage(TOXIC, 501, 90)))
    assert removed.column("rule").to_pylist() == ["toxic"]
    assert "adult_score" not in kept.schema.names
    assert classifiers.harmful_separates(SimpleNamespace(artifact=lambda name: trained)).passed


def test_a_joint_file_may_name_its_fields_for_one_kind(tmp_path):
    home = tmp_path / "home"
    with dg.DagsterInstance.ephemeral() as instance:
        config = {"harm_classifiers": joint_file_with_another_field(tmp_path) | QUICK}
        assert materialize(instance, home, ["harm_classifiers"], config=config).success
    assert artifact(home, "harm_classifiers").summary["kinds_without_labels"] == []


def test_labels_of_neither_kind_are_refused(tmp_path):
    labels = json_lines(tmp_path / "labels.jsonl", [{"text": "a", "spam": True}, {"text": "b", "spam": False}])
    with dg.DagsterInstance.ephemeral() as instance:
        description, exit_code = failure(instance, tmp_path / "home", "harm_classifiers", {"labels": labels})
    assert "no harmful text in the fields text, spam, expected a field toxic or adult" in description
    assert exit_code == 2


@pytest.mark.parametrize(
    ("row", "holds"),
    [
        ({"page_words": 2400, "recall": 1.0, "false_positive_rate": 0.005}, True),
        ({"page_words": 2400, "recall": 1.0, "false_positive_rate": 0.68}, False),
        ({"page_words": 600, "recall": 0.2, "false_positive_rate": 0.0}, False),
        ({"page_words": 50, "recall": 0.2, "false_positive_rate": 0.0}, True),
    ],
)
def test_pages_of_every_length_must_be_judged_well(row, holds):
    assert classifiers._holds_at_length(row) is holds


@pytest.mark.fault(44)
def test_the_built_in_labels_are_known_by_their_content(tiny_run, tiny_home, tmp_path):
    """Also where a launch names a copy of their file; another file is not taken for them."""
    home, copy = tmp_path / "home", tmp_path / "copy.jsonl"
    shutil.copytree(tiny_home / "artifacts" / "demo_crawl", home / "artifacts" / "demo_crawl")
    shutil.copyfile(artifact(home, "demo_crawl").file("harmful_labels.jsonl"), copy)
    given = {
        "default": {},
        "the same content elsewhere": {"labels": str(copy)},
        "other labels": toxic_field_alone(tmp_path),
    }
    found = {}
    with dg.DagsterInstance.ephemeral() as instance:
        for name, labels in given.items():
            config = {"harm_classifiers": labels | QUICK}
            assert materialize(instance, home, ["harm_classifiers"], config=config).success
            found[name] = artifact(home, "harm_classifiers").summary["built_in_labels"]
    assert found == {"default": True, "the same content elsewhere": True, "other labels": False}
