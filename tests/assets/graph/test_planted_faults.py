"""Every check beside the curation's is seen failing by a planted fault, and passing without it."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from assets.graph import (
    alignment,
    alignment_experiments,
    alignment_report,
    classifiers,
    evaluation,
    mixture,
    pretraining,
    scaling_law,
    tokens,
)
from assets.support.resources import LoamHome
from lm import storage
from lm.alignment.seed_report import spread
from lm.scaling.budget_comparison import BUDGET, CALIBRATION
from lm.shards import ShardWriter
from lm.tokenizer import Tokenizer
from lm.training.metrics import LIVE, work_folder
from tests.assets.runs import defs

ELSEWHERE = {
    "test_curation_checks": {
        "accounts_are_exact", "documents_remain", "share_kept_is_usual", "few_records_are_lost", "text_is_the_body",
        "only_damaged_records_are_lost", "other_languages_are_removed", "documents_are_judged",
        "harm_rate_is_expected", "harmful_pages_are_removed", "low_quality_is_removed", "personal_data_is_masked",
        "duplicate_rate_is_usual", "duplicates_are_found", "no_evaluation_item_is_left",
    },
    "test_classifiers": {"harmful_separates"},
    "test_model_checks": {"no_regression", "trained_on_clean_documents"},
    "test_systems": {"measurements_are_sound"},
}  # fmt: skip
"""Checks that are seen failing in another test beside this one."""


@pytest.fixture
def home(tmp_path):
    return LoamHome(path=str(tmp_path))


def publish(home, name, files=(), config=None, **summary):
    with storage.publish(home.target(name), kind=name, config=config or {}, inputs={}, code="") as publication:
        for file, content in dict(files).items():
            (publication.path / file).write_text(content)
        (publication.path / "x").write_text("x")
        publication.summary.update(summary)


def losses(home, *values):
    rows = "".join(json.dumps({"step": step, "loss": value}) + "\n" for step, value in enumerate(values))
    publish(home, "pretrained_model", {"metrics.jsonl": rows})


def plan(home, used, total, epochs):
    source = {"source": "demo", "tokens_used": used, "tokens_available": 100, "epochs": epochs, "max_epochs": 4}
    publish(home, "training_mixture", {"mixture.json": json.dumps({"num_tokens": total, "sources": [source]})})


def compared(home, come_back, unknown, bytes_per_token):
    own = {
        "tokenizer": "bpe", "texts_that_come_back": come_back, "unknown_share": unknown,
        "bytes_per_token": bytes_per_token,
    }  # fmt: skip
    publish(home, "tokenizer_report", {"comparison.json": json.dumps({"tokenizers": [own]})})


def separating(home, area):
    found = {"quality": {"roc_auc": area, "precision": 0.9, "recall": 0.9}}
    publish(home, "quality_classifier", {"measurements.json": json.dumps(found)})


def scored(home, ours, theirs):
    publish(home, "pretrained_model", bits_per_byte=ours)
    publish(home, "ngram_baseline", bits_per_byte=theirs)


def budgeted(home, predicted, measured, num_steps=1):
    """Predicted and measured (bytes, seconds); None is not measured."""
    publish(home, "pretrained_model", config={"num_steps": 1})
    publish(home, "training_budget", {BUDGET: json.dumps({"peak_bytes": predicted[0]})}, {"num_steps": num_steps})
    calibration = work_folder(home.target("training_budget")) / CALIBRATION
    calibration.parent.mkdir(parents=True, exist_ok=True)
    digest = home.artifact("training_budget").digest
    found = {"digest": digest, "peak_bytes": measured[0], "predicted_seconds": predicted[1]}
    calibration.write_text(json.dumps(found))
    live = work_folder(home.target("pretrained_model")) / LIVE
    live.parent.mkdir(parents=True, exist_ok=True)
    live.write_text("" if measured[1] is None else json.dumps({"step": 1, "seconds": measured[1]}) + "\n")


def greedy(home, sft, grpo, well_formed):
    gain = {"from": "sft", "to": "grpo", "gain": grpo - sft, "standard_error": 0.02, "error_removed": 0.4}
    publish(
        home, "evaluation_report", gains=[gain], sft={"greedy_verified_rate": sft, "greedy_standard_error": 0.02},
        grpo={"greedy_verified_rate": grpo, "greedy_standard_error": 0.02, "greedy_well_formed_rate": well_formed},
    )  # fmt: skip


def taxed(home, bits, control):
    found = {"bits_per_byte": bits, "control_bits_per_byte": control, "tax": bits / control - 1, "num_updates": 9}
    publish(home, "replay_control", **dict.fromkeys(alignment.STAGES, found))


def verified(name):
    def publishing(home, before, after):
        rates = [{"greedy": {"verified_rate": rate, "verified_standard_error": 0.01}} for rate in (before, after)]
        publish(home, name, before=rates[0], **rates[1])

    return publishing


def kept(home, *answers, lost=0, most_kept=2):
    """Kept answers to the problem 2 + 2."""
    problem = {"id": "p", "prompt": "2 + 2?", "answer": 4, "split": "train"}
    publish(home, "alignment_data", {"problems.jsonl": json.dumps(problem) + "\n"})
    shared = {"prompt": "2 + 2?", "split": "train"}
    rows = [{**shared, "id": f"own-p-{number}", "response": answer} for number, answer in enumerate(answers)]
    counts = {"sampled": 9, "right": len(rows) + 1 + lost, "kept": len(rows), "repeated": 1, "surplus": 0}
    publish(
        home, "rejection_samples", {"instructions.jsonl": "".join(json.dumps(row) + "\n" for row in rows)},
        {"most_kept": most_kept}, **{f"num_{name}": count for name, count in counts.items()},
    )  # fmt: skip


RIGHT = ("#### 4", "2 + 2 = 4\n#### 4")


def over_seeds(home, gains, taxes):
    """Three runs; the tax of GRPO, and none of the pre-trained model."""
    stages = [
        {"stage": "pretrained", "figures": {}},
        {"stage": "grpo", "figures": {"tax": spread(taxes)}},
    ]
    gain = {"from": "sft", "to": "grpo", **spread(gains)}
    publish(home, "alignment_report", num_runs=3, stages=stages, gains=[gain])


FAULTS = [
    (pretraining.loss_is_finite_and_falls, losses, (3.0, 2.0, 1.0), (1.0, 2.0, 3.0)),
    (pretraining.loss_is_finite_and_falls, losses, (3.0, 2.0, 1.0), (3.0, float("nan"), 1.0)),
    (pretraining.loss_is_finite_and_falls, losses, (3.0, 2.0, 1.0), (3.0, float("inf"), 1.0)),
    (pretraining.beats_ngram, scored, (1.0, 1.1), (1.1, 1.1)),
    (mixture.mixture_is_exact, plan, (90, 90, 1.0), (91, 90, 1.0)),
    (mixture.mixture_is_exact, plan, (90, 90, 4.0), (90, 90, 4.1)),
    (tokens.byte_pairs_lose_nothing, compared, (1, 0, 2.0), (0.99, 0, 2.0)),
    (tokens.byte_pairs_lose_nothing, compared, (1, 0, 2.0), (1, 0.01, 2.0)),
    (tokens.byte_pairs_lose_nothing, compared, (1, 0, 2.0), (1, 0, 1.0)),
    (classifiers.quality_separates, separating, (0.95,), (0.85,)),
    (evaluation.grpo_raises_the_verified_rate, greedy, (0.5, 0.7, 1.0), (0.5, 0.55, 1.0)),
    (evaluation.grpo_raises_the_verified_rate, greedy, (0.5, 0.7, 1.0), (0.5, 0.7, 0.8)),
    *((check, taxed, (0.509, 0.5), (0.511, 0.5)) for check in alignment.language_checks),
    (
        alignment.sft_answers_are_well_formed,
        lambda home, rate: publish(home, "sft_model", greedy={"well_formed_rate": rate}), (0.95,), (0.85,),
    ),
    (
        alignment.dpo_prefers_the_chosen_answer,
        lambda home, rate: publish(home, "dpo_model", preference={"after": {"reward_accuracy": rate}}),
        (0.95,), (0.85,),
    ),
    (
        alignment_experiments.reward_model_ranks_pairs,
        lambda home, rate: publish(home, "reward_model", after={"accuracy": rate}), (0.85,), (0.75,),
    ),
    (alignment_experiments.ppo_raises_the_verified_rate, verified("ppo_model"), (0.5, 0.6), (0.5, 0.5)),
    (
        alignment_experiments.expert_iteration_raises_the_verified_rate,
        verified("expert_model"), (0.5, 0.6), (0.5, 0.5),
    ),
    (alignment_experiments.rejection_samples_are_right, kept, RIGHT, ("#### 4", "#### 5")),
    (alignment_experiments.rejection_samples_are_right, kept, RIGHT, ("#### 4", "#### 4")),
    (alignment_experiments.rejection_samples_are_right, kept, RIGHT, (*RIGHT, "1 + 3 = 4\n#### 4")),
    (
        alignment_experiments.rejection_samples_are_right,
        lambda home, lost: kept(home, *RIGHT, lost=lost), (0,), (1,),
    ),
    (
        alignment_report.alignment_holds_over_seeds, over_seeds,
        ((0.3, 0.25, 0.21), (0.01, -0.01, 0.019)), ((0.3, 0.25, 0.19), (0.01, -0.01, 0.019)),
    ),
    (
        alignment_report.alignment_holds_over_seeds, over_seeds,
        ((0.3, 0.25, 0.21), (0.01, -0.01, 0.019)), ((0.3, 0.25, 0.21), (0.01, 0.021, 0.01)),
    ),
    (pretraining.budget_was_right, budgeted, ((105, 60.0), (100, 65.0)), ((85, 60.0), (100, 65.0))),
    (pretraining.budget_was_right, budgeted, ((105, 60.0), (100, 65.0)), ((105, 60.0), (100, 80.0))),
    (pretraining.budget_was_right, budgeted, ((105, 60.0), (100, 65.0)), ((105, 60.0), (100, 65.0), 2)),
    (
        scaling_law.law_predicts,
        lambda home, error: publish(home, "law_test", relative_error=error), (-0.015,), (-0.025,),
    ),
]  # fmt: skip
"""By check: what publishes its artifact, the right figures, and the fault."""


def name_of(check):
    (key,) = check.check_keys
    return key.name


@pytest.mark.parametrize(
    ("check", "publishing", "right", "wrong"),
    FAULTS,
    ids=[f"{name_of(check)} {wrong}" for check, _, _, wrong in FAULTS],
)
def test_a_planted_fault_is_seen(home, check, publishing, right, wrong):
    for values, passed in ((right, True), (wrong, False)):
        publishing(home, *values)
        found = check(home=home)
        assert found.passed is passed
        assert found.description and "\n" not in found.description


def test_a_budget_without_measurements_says_so(home):
    budgeted(home, (105, 60.0), (100, None))
    found = pretraining.budget_was_right(home=home)
    assert found.passed and found.description.split("; ") == [
        "memory: predicted 105 bytes, measured 100 bytes (+5%)",
        "time: not measured (no record on this machine)",
    ]
    (work_folder(home.target("training_budget")) / CALIBRATION).unlink()
    found = pretraining.budget_was_right(home=home)
    assert found.passed and found.description.count("not measured") == 2 and "predicted" not in found.description
    assert not any(name.endswith("_error") for name in found.metadata)


@pytest.mark.parametrize(
    "fault", [None, lambda ids: ids[:-1], lambda ids: [*ids, 600 - 5], lambda ids: ids[::-1]],
    ids=["none", "a token is lost", "a special token comes out of text", "the order is lost"],
)  # fmt: skip
def test_a_tokenizer_that_does_not_give_the_text_back_is_seen(tiny_run, tiny_home, monkeypatch, fault):
    encode = Tokenizer.encode
    if fault is not None:
        monkeypatch.setattr(Tokenizer, "encode", lambda self, text: fault(list(encode(self, text))))
    found = tokens.tokenizer_round_trip(home=LoamHome(path=str(tiny_home)))
    assert found.passed is (fault is None) and found.description


END = 9


@pytest.mark.parametrize(
    ("rows", "num_damaged"),
    [
        ([[1, 2, END], [3, END]], 0),
        ([[1, 2, END], [3, 4]], 1),  # without its end
        ([[1, END, 2, END], [3, END]], 1),  # two ends in one row
        ([[1, 12, END], [3, END]], 1),  # an id outside of the vocabulary
        ([[END, 1], [2, END]], 1),  # the end is not at the end
    ],
)
def test_rows_that_are_no_documents_are_counted(rows, num_damaged):
    offsets = np.cumsum([0, *map(len, rows)])
    shard = SimpleNamespace(tokens=np.array([each for row in rows for each in row], np.uint16), offsets=offsets)
    assert tokens._damaged_rows(SimpleNamespace(shards=[shard], vocab_size=10, end_of_text_id=END)) == num_damaged


@pytest.mark.parametrize(("num_kept", "odd", "passed"), [(4, False, True), (5, False, False), (4, True, False)])
def test_shards_without_a_document_or_with_a_damaged_one_are_seen(home, num_kept, odd, passed):
    with storage.publish(home.target("token_shards"), kind="token_shards", config={}, inputs={}, code="") as made:
        for split in ("train", "validation"):
            ids = {"tokenizer_digest": "t", "vocab_size": 10, "end_of_text_id": END}
            with ShardWriter(made.path, prefix=split, **ids) as writer:
                writer.write("a", "demo", [1, 2])
                writer.write("b", "demo", [1, END, 2] if odd else [3])
    publish(home, "clean_documents", num_kept=num_kept)
    found = tokens.shards_hold_every_document(home=home)
    assert found.passed is passed and found.description


def test_every_check_is_seen_failing():
    seen = {name_of(check) for check, *_ in FAULTS} | {"tokenizer_round_trip", "shards_hold_every_document"}
    everything = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    assert seen.union(*ELSEWHERE.values()) == everything
