"""The whole graph on a tiny crawl: every asset materializes, tells what it should, and is not made twice."""

import dagster as dg
import pytest

from assets.automation.jobs import demo_partitions
from assets.support.summary import summary_lines
from lm.storage import MANIFEST
from pipelines.curation.steps import CURATION
from tests.assets.runs import run_demo

LEARNING = {
    "beats_ngram",
    "loss_is_finite_and_falls",
    "sft_answers_are_well_formed",
    "dpo_prefers_the_chosen_answer",
    "grpo_raises_the_verified_rate",
}
"""Checks that a model of a few steps cannot pass."""


def materializations(run):
    return {event.asset_key.to_user_string(): event for event in run.get_asset_materialization_events()}


def snapshot(home):
    artifacts = home / "artifacts"
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(artifacts.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_every_asset_materializes(tiny_run, definitions):
    failed = [event.step_key for event in tiny_run.filter_events(lambda event: event.is_step_failure)]
    assert not failed
    everything = {key.to_user_string() for key in definitions.resolve_all_asset_keys()}
    expected = everything - {"ablations", "ablation_report"}  # experiments are no part of the demo
    assert set(materializations(tiny_run)) == expected


def test_every_check_of_the_data_passes(tiny_run):
    evaluations = {f"{e.asset_key.to_user_string()}.{e.check_name}": e for e in tiny_run.get_asset_check_evaluations()}
    failed = {
        name: dict(e.metadata) for name, e in evaluations.items() if not e.passed and e.check_name not in LEARNING
    }
    assert not failed
    assert {e.check_name for e in evaluations.values()} >= LEARNING | {"accounts_are_exact", "text_is_the_body"}


def test_learning_is_checked_and_a_model_of_eight_steps_fails(tiny_run):
    failed = {e.check_name for e in tiny_run.get_asset_check_evaluations() if not e.passed}
    assert failed >= {"beats_ngram", "sft_answers_are_well_formed", "grpo_raises_the_verified_rate"}


def test_every_asset_tells_its_path_size_and_seconds(tiny_run):
    for name, event in materializations(tiny_run).items():
        metadata = event.materialization.metadata
        assert {"path", "size_bytes", "digest", "seconds"} <= set(metadata), name
        assert metadata["size_bytes"].value > 0, name


@pytest.mark.parametrize(
    ("name", "plot"),
    [
        ("demo_crawl", "worlds"),
        ("quality_classifier", "roc_curve"),
        ("harmful_classifiers", "top_words"),
        ("extracted_documents", "funnel"),
        ("language_documents", "language_score_histogram"),
        ("language_documents", "kept_samples"),
        ("heuristic_documents", "removed"),
        ("harmless_documents", "toxic_score_histogram"),
        ("masked_documents", "counted"),
        ("deduplicated_documents", "removed_samples"),
        ("decontaminated_documents", "funnel"),
        ("curation_report", "report"),
        ("curation_report", "funnel"),
        ("tokenizer", "first_merges"),
        ("tokenizer_report", "fertility_by_language"),
        ("token_shards", "document_lengths"),
        ("training_mixture", "sources"),
        ("pretrained_model", "loss"),
        ("training_plan", "budgets"),
        ("sft_model", "samples"),
        ("evaluation_report", "report"),
    ],
)
def test_plots_and_tables(tiny_run, name, plot):
    shown = materializations(tiny_run)[name].materialization.metadata[plot]
    assert isinstance(shown, dg.MarkdownMetadataValue | dg.TableMetadataValue)
    text = shown.value if isinstance(shown, dg.MarkdownMetadataValue) else str(shown.records)
    assert len(text) > 100


def test_every_step_of_the_curation_tells_its_speed_once(tiny_run, instance, tiny_home):
    """What was whole already was not done again, so it has no speed."""
    steps = [step.artifact for step in CURATION]
    first, again = materializations(tiny_run), materializations(run_demo(instance, tiny_home))
    for name in steps:
        metadata = first[name].materialization.metadata
        documents, seconds = metadata["num_in"].value, metadata["seconds"].value
        assert metadata["documents_per_second"].value >= 0.9 * documents / seconds - 0.1, name
        assert metadata["megabytes_per_second"].value > 0, name
        assert "documents_per_second" not in again[name].materialization.metadata, name


def test_the_summary_reads_what_was_made(tiny_run, tiny_home):
    lines = summary_lines(tiny_home, demo_partitions())
    text = "\n".join(lines)
    assert "extract" in text
    assert "3-gram" in text
    assert "GRPO" in text
    assert text.count("> ") == 3
    assert lines[-1] == "Look at it: make ui"


def test_a_second_run_makes_nothing_again(tiny_run, tiny_home, instance):
    before = snapshot(tiny_home)
    again = run_demo(instance, tiny_home)
    assert set(materializations(again)) == set(materializations(tiny_run))
    assert snapshot(tiny_home) == before


def test_another_threshold_remakes_only_what_follows(tiny_run, tiny_home, instance):
    before = {
        path.parent.relative_to(tiny_home / "artifacts"): path.read_bytes()
        for path in (tiny_home / "artifacts").rglob(MANIFEST)
    }
    run_demo(instance, tiny_home, {"evaluation_report": {"num_shown": 2}})
    after = {
        path.parent.relative_to(tiny_home / "artifacts"): path.read_bytes()
        for path in (tiny_home / "artifacts").rglob(MANIFEST)
    }
    assert [str(path) for path in before if before[path] != after[path]] == ["evaluation_report"]
