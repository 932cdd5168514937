"""Ablations: equal budgets, one difference, an honest verdict."""

import dataclasses
import os
import signal

import pytest

from lm.ablations.config import LEARNING_RATE, QUESTIONS, AblationConfig
from lm.ablations.report import (
    PAGE,
    RUNS,
    render,
    runs_of,
    sentence,
    standings,
    validation_over_seconds,
    verdict,
    write_ablation_report,
)
from lm.ablations.run import _edge_passed, run_ablation, unigram_loss
from lm.accounting import count_parameters
from lm.configuration import to_mapping
from lm.errors import ConfigurationError, Interrupted
from lm.training import Trainer
from tests.lm.training.corpora import make_shards

SMALL = AblationConfig(
    num_tokens=6_400,
    training={"preset": "test", "batch_size": 2, "num_threads": 1, "device": "cpu"},
    learning_rates=(3e-3, 1e-2, 1e4, 1e5),
    num_evaluations=2,
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("shards") / "s", num_documents=40)


@pytest.fixture(scope="module")
def made(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablations")
    artifacts = {
        question: run_ablation(
            SMALL, question=question, shards=shards.path, runs=folder / "runs", output=folder / question
        )
        for question in (LEARNING_RATE, "ffn")
    }
    return folder, artifacts


@pytest.mark.parametrize("question", sorted(QUESTIONS))
def test_variants_differ_in_one_thing_and_spend_the_same(question):
    config = AblationConfig(num_tokens=100_000)
    variants = config.variants(question)
    changed = {key for changes in variants.values() for key in changes}
    if question == "batch_size":  # how often it looks and how it warms up follow from the number of steps
        changed |= {"evaluation_interval", "warmup_steps"}
    shared = []
    for variant in variants:
        run = config.run(question, variant, seed=1)
        assert run.num_tokens == 100_000 and run.seed == 1
        shared.append({key: value for key, value in to_mapping(run).items() if key not in changed})
    assert all(each == shared[0] for each in shared)


@pytest.mark.parametrize(
    "shared", [{}, {"d_model": 64}, {"ffn": "relu2"}, {"ffn": "geglu", "d_ff": 100}, {"num_experts": 4}]
)
def test_the_feed_forward_layers_have_equally_many_weights(shared):
    config = AblationConfig(training={"model": shared})
    shapes = [config.run("ffn", variant, 0).model_config(4096) for variant in config.variants("ffn")]
    assert [shape.ffn for shape in shapes] == ["swiglu", "silu"]
    weights = [count_parameters(shape).total for shape in shapes]
    assert abs(weights[0] / weights[1] - 1) < (0.002 if "ffn" in shared else 1e-12)  # a width is a whole number


def test_a_variant_is_what_it_is_called_whatever_is_shared():
    shared = {"optimizer": "muon", "model": {"norm": "layer", "norm_placement": "post", "position": "none"}}
    config = AblationConfig(training=shared)
    assert config.run("optimizer", "AdamW", 0).optimizer == "adamw"
    assert config.run("norm", "RMSNorm", 0).model_config(4096).norm == "rms"
    assert config.run("norm_placement", "pre", 0).model_config(4096).norm_placement == "pre"
    assert config.run("position", "RoPE", 0).model_config(4096).position == "rope"
    assert config.run("norm", "RMSNorm", 0).model_config(4096).norm_placement == "post"  # what is shared stays
    without = AblationConfig(training={"model": {"norm_placement": "none"}})
    found = {name: without.run("norm", name, 0).model_config(4096).norm_placement for name in QUESTIONS["norm"]}
    assert found == {"RMSNorm": "pre", "LayerNorm": "pre", "no norm": "none"}


def test_the_learning_rate_rises_to_one_past_the_edge(made, shards):
    runs = runs_of(made[1][LEARNING_RATE])
    by_variant = {variant: [run for run in runs if run["variant"] == variant] for variant in ("0.003", "0.01", "10000")}
    assert len(runs) == sum(map(len, by_variant.values())) == 6  # 100000 is never tried
    assert not any(run["diverged"] for run in by_variant["0.003"] + by_variant["0.01"])
    assert all(run["diverged"] for run in by_variant["10000"])
    assert all(run["validation_loss"] < unigram_loss(shards) for run in by_variant["0.01"])
    summary = made[1][LEARNING_RATE].summary
    assert summary["winner"] == "0.01" and summary["lead"] > 0
    assert "| 10000 |" in made[1][LEARNING_RATE].file(PAGE).read_text()


def test_runs_carry_their_curves_and_the_clock_stays_outside(made):
    folder, artifacts = made
    for run in runs_of(artifacts["ffn"]):
        assert run["steps"] == list(range(1, 101)) and len(run["losses"]) == 100
        assert run["validation_steps"][-1] == 100 and run["validation_losses"][-1] == run["validation_loss"]
        seconds, losses = validation_over_seconds(run, folder / "runs")
        assert losses == run["validation_losses"] and len(seconds) == len(losses) and seconds == sorted(seconds)
    unknown = {**runs_of(artifacts["ffn"])[0], "name": "unknown"}
    assert validation_over_seconds(unknown, folder / "runs") == ([], [])
    assert "seconds" not in artifacts["ffn"].file(RUNS).read_text()


def test_the_same_bytes_again_and_shared_runs_are_trained_once(made, shards, tmp_path):
    again = run_ablation(SMALL, question="ffn", shards=shards.path, runs=tmp_path / "runs", output=tmp_path / "ffn")
    assert again.digest == made[1]["ffn"].digest
    names = {run["name"] for run in runs_of(made[1]["ffn"])} & {run["name"] for run in runs_of(made[1][LEARNING_RATE])}
    assert names  # the rate of the others is one of those tried
    plain = AblationConfig(num_tokens=6_400)
    rate, base = (plain.run(q, v, 0) for q, v in ((LEARNING_RATE, "0.003"), ("ffn", "SwiGLU")))
    assert rate == base


def test_the_joint_report_has_every_verdict(made, tmp_path):
    report = write_ablation_report(made[1], tmp_path / "report")
    page = report.file(PAGE).read_text()
    assert page.startswith("# Ablations\n\n- learning rate: 0.01 beats 0.003 by ")
    assert "### learning rate" in page and "### ffn" in page
    assert report.summary["winners"]["learning_rate"] == "0.01"
    assert report.summary["num_runs"] == sum(artifact.summary["num_runs"] for artifact in made[1].values())


def row(variant, seed, loss, diverged=None):
    bits = None if loss is None else loss / 2
    values = {"variant": variant, "seed": seed, "parameters": 10, "validation_loss": loss, "bits_per_byte": bits}
    return {**values, "diverged": diverged}


def test_a_lead_smaller_than_the_seeds_spread_is_called_luck():
    rows = [row("a", 0, 3.0), row("a", 1, 3.2), row("b", 0, 3.05), row("b", 1, 3.05)]
    told = verdict("ffn", rows)
    assert told["winner"] == "b" and told["runner_up"] == "a" and not told["clear"]
    assert told["lead"] == pytest.approx(0.05) and told["spread"] == pytest.approx(0.2)
    assert (
        "b beats a by 0.050 nats per token, not a clear lead: spread between seeds of these two up to 0.200"
        in sentence("ffn", told)
    )
    rows += [row("c", 0, 2.0), row("c", 1, 2.1), row("d", 0, None, "diverged")]
    clear = verdict("ffn", rows)
    assert clear["winner"] == "c" and clear["clear"] and clear["lead"] == pytest.approx(1.0)
    assert clear["diverged"] == ["d"] and sentence("ffn", clear).endswith("; diverged: d.")
    assert standings(rows)[0]["spread"] == pytest.approx(0.2)


def test_luck_is_measured_on_the_two_best_alone():
    rows = [row("a", 0, 3.0), row("a", 1, 3.0), row("b", 0, 3.2), row("b", 1, 3.1), row("c", 0, 5.0), row("c", 1, 9.0)]
    told = verdict("ffn", rows)
    assert told["clear"] and told["spread"] == pytest.approx(0.1) and told["lead"] == pytest.approx(0.15)


def test_it_is_said_where_no_learning_rate_diverged():
    rows = [row("0.1", 0, 3.0), row("1", 0, 3.5)]
    assert "not a clear lead: one seed, so the seed noise is unknown" in sentence("ffn", verdict("ffn", rows))
    assert "| one seed |" in render("ffn", rows, verdict("ffn", rows), 10)
    told = sentence(LEARNING_RATE, verdict(LEARNING_RATE, rows))
    assert told.endswith("; no rate diverged, so the stability limit is higher.")
    assert "diverged" not in sentence("ffn", verdict("ffn", rows))


def test_what_diverged_wins_nothing():
    rows = [row("a", 0, 1.0), row("a", 1, None, "step 3: loss is nan"), row("b", 0, 9.0)]
    told = verdict("position", rows)
    assert told["winner"] == "b" and told["lead"] is None
    assert sentence("position", told) == "position: b; no other variant learned."
    assert "diverged (seed 1)" in render("position", rows, told, 10)
    assert verdict("position", rows[:2])["winner"] is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seeds": ()}, "ablations.seeds"),
        ({"learning_rates": (1e-2, 1e-3)}, "expected increasing numbers"),
        ({"training": {"batchsize": 3}}, "unknown key 'batchsize'"),
        ({"training": {"model": {"num_head": 3}}}, "unknown key 'num_head'"),
    ],
)
def test_what_cannot_be_is_refused(values, message):
    with pytest.raises(ConfigurationError, match=message):
        AblationConfig(**values)
    with pytest.raises(ConfigurationError, match="did you mean 'ffn'"):
        AblationConfig().variants("fnn")


def test_a_rate_too_low_to_learn_does_not_end_the_search_for_the_edge():
    low = [row("1e-05", seed, 9.0, "validation loss 9.000, unigram 8.000") for seed in (0, 1)]
    learned = [row("0.01", 0, 5.0), row("0.01", 1, 5.0)]
    high = [row("1", 0, 9.0, "validation loss 9.000, unigram 8.000")]
    assert not _edge_passed(low, "0.01")
    assert not _edge_passed([*low, *learned], "1")
    assert not _edge_passed([*low, *learned, *high], "1")  # its other seed
    assert _edge_passed([*low, *learned, *high], "10")
    assert _edge_passed([row("1", 0, None, "step 3: loss is nan")], "10")
    for half in ([low[0], row("1e-05", 1, 7.9)], [row("1e-05", 0, 7.9), low[1]]):
        assert not _edge_passed(half, "0.01")


def test_a_rate_too_low_to_learn_is_not_called_the_edge():
    rows = [row("1e-05", 0, 9.0, "validation loss 9.000, unigram 8.000"), row("0.01", 0, 5.0), row("0.1", 0, 6.0)]
    told = verdict(LEARNING_RATE, rows)
    assert told["diverged"] == [] and sentence(LEARNING_RATE, told).endswith("the stability limit is higher.")
    assert "| did not learn (seed 0) |" in render(LEARNING_RATE, rows, told, 10)
    rows.append(row("1", 0, 9.0, "validation loss 9.000, unigram 8.000"))
    told = verdict(LEARNING_RATE, rows)
    assert told["diverged"] == ["1"] and sentence(LEARNING_RATE, told).endswith("; diverged: 1.")
    assert "| diverged (seed 0) |" in render(LEARNING_RATE, rows, told, 10)


def test_an_interrupted_question_tells_the_same_and_keeps_its_seconds(shards, tmp_path):
    """Of a run that trains to its end and of one that diverges, both stopped on the way."""
    config = dataclasses.replace(
        SMALL,
        learning_rates=(1e-2, 1e4),
        seeds=(0,),
        training={**SMALL.training, "checkpoint_interval": 1, "log_interval": 2},
    )

    def ask(folder):
        return run_ablation(
            config, question=LEARNING_RATE, shards=shards.path, runs=folder / "runs", output=folder / "out"
        )

    whole = ask(tmp_path / "whole")
    steps_of_the_second = len(runs_of(whole)[1]["steps"])
    assert runs_of(whole)[1]["diverged"] and steps_of_the_second
    calls = {"steps": 0}
    original = Trainer.train_step

    def stopping(trainer):
        calls["steps"] += 1
        if calls["steps"] in (30, 101):  # in the middle of the first, at the first step of the second
            os.kill(os.getpid(), signal.SIGTERM)
        return original(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", stopping)
        for _ in range(2):
            with pytest.raises(Interrupted):
                ask(tmp_path / "stopped")
        stopped = ask(tmp_path / "stopped")
    assert stopped.digest == whole.digest
    first = runs_of(stopped)[0]
    seconds, losses = validation_over_seconds(first, tmp_path / "stopped" / "runs")
    assert losses == first["validation_losses"] and seconds == sorted(seconds) and seconds[0] > 0
