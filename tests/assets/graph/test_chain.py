"""The whole graph on a tiny crawl: every asset materializes with its metadata, and is not made twice."""

import shutil

import dagster as dg

from lm.storage import MANIFEST
from pipelines.curation.steps import CURATION
from tests.assets.runs import EXPERIMENTS, materializations, run_demo

LEARNING = {
    "beats_ngram",
    "loss_is_finite_and_falls",
    "sft_answers_are_well_formed",
    "dpo_prefers_the_chosen_answer",
    "grpo_raises_the_verified_rate",
    "sft_keeps_the_language",
    "dpo_keeps_the_language",
    "grpo_keeps_the_language",
}
"""Checks that a model of a few steps cannot pass."""


TRAININGS = {
    "pretrained_model",
    "ngram_baseline",
    "training_plan",
    "training_budget",
    "sft_model",
    "preference_pairs",
    "dpo_model",
    "replay_control",
    "grpo_model",
    "evaluation_report",
}
"""Assets that a child process makes, which loads torch for seconds."""


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
    expected = everything - EXPERIMENTS  # which are not part of the demo
    assert set(materializations(tiny_run)) == expected


def test_every_check_of_the_data_passes(tiny_run):
    evaluations = {f"{e.asset_key.to_user_string()}.{e.check_name}": e for e in tiny_run.get_asset_check_evaluations()}
    failed = {
        name: dict(e.metadata)
        for name, e in evaluations.items()
        if not e.passed and e.check_name not in LEARNING | {"budget_was_right"}  # whose time is the machine's
    }
    assert not failed
    assert {e.check_name for e in evaluations.values()} >= LEARNING | {"accounts_are_exact", "text_is_the_body"}


def test_learning_is_checked_and_a_model_of_eight_steps_fails(tiny_run):
    failed = {e.check_name for e in tiny_run.get_asset_check_evaluations() if not e.passed}
    assert failed >= {"beats_ngram", "sft_answers_are_well_formed", "grpo_raises_the_verified_rate"}


def test_every_asset_tells_its_path_size_and_seconds(tiny_run):
    for name, event in materializations(tiny_run).items():
        metadata = event.materialization.metadata
        assert {"path", "size", "digest", "seconds"} <= set(metadata), name
        assert metadata["size"].value, name


def test_every_step_of_the_curation_tells_its_speed(tiny_run):
    for name in (step.artifact for step in CURATION):
        metadata = materializations(tiny_run)[name].materialization.metadata
        documents, seconds = metadata["num_in"].value, metadata["seconds"].value
        assert metadata["documents_per_second"].value >= 0.9 * documents / seconds - 0.1, name
        assert metadata["megabytes_per_second"].value > 0, name


def test_a_second_run_makes_nothing_again(tiny_run, tiny_home, instance):
    """All assets but trainings, and one of those; what was whole already has no speed."""
    names = sorted(materializations(tiny_run).keys() - TRAININGS | {"pretrained_model"})
    before = snapshot(tiny_home)
    again = materializations(run_demo(instance, tiny_home, only=names))
    assert sorted(again) == names
    assert snapshot(tiny_home) == before
    for name in (step.artifact for step in CURATION):
        assert "documents_per_second" not in again[name].materialization.metadata, name


def test_another_threshold_remakes_what_follows_and_nothing_else(tiny_run, tiny_home, instance, definitions, tmp_path):
    names = sorted(materializations(tiny_run).keys() - TRAININGS - {"warc_files"})  # which lists paths of its home
    home = tmp_path / "home"
    shutil.copytree(tiny_home, home)
    before = manifests(home)
    run = run_demo(instance, home, {"quality_documents": {"threshold": 0.9}}, only=names)
    assert run.success
    remade = {path.parts[0] for path, content in manifests(home).items() if before[path] != content}
    downstream = dg.AssetSelection.assets("quality_documents").downstream()
    follows = {key.to_user_string() for key in downstream.resolve(definitions.resolve_asset_graph())}
    assert remade == follows & set(names)
    assert remade >= {"quality_documents", "masked_documents", "clean_documents", "token_shards"}
    assert not remade & {"harmless_documents", "evaluation_items", "quality_classifier"}


def manifests(home):
    """The content of every artifact's manifest, by its path below the artifacts."""
    return {path.relative_to(home / "artifacts"): path.read_bytes() for path in home.rglob(MANIFEST)}
