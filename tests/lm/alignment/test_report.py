"""The report puts the stages side by side, and shows any text as it is."""

import json
from types import SimpleNamespace

import pytest

pytest.importorskip("lm.tokenizer")

from lm.alignment.config import ReportConfig
from lm.alignment.report import _gains, stored_evaluation, win_rate, write_evaluation_report
from lm.alignment.report_page import escape, render_report
from lm.alignment.sft import SFTConfig, train_sft
from lm.errors import InputError
from lm.storage import publish
from tests.lm.alignment.conftest import start  # noqa: F401 - a fixture

CONFIG = ReportConfig(num_problems=8, num_shown=3, max_new_tokens=12, num_threads=1, device="cpu")


def test_a_taught_model_stands_beside_the_one_it_came_from(start, tmp_path):  # noqa: F811
    config = SFTConfig(
        num_steps=40,
        batch_size=16,
        optimizer="adamw",
        learning_rate=5e-3,
        max_new_tokens=12,
        num_threads=1,
        device="cpu",
    )
    places = {"model": start / "model", "tokenizer": start / "tokenizer", "output": tmp_path / "sft"}
    train_sft(config, **places, instructions=start / "instructions.jsonl")
    arguments = {
        "models": {"pretrained": start / "model", "sft": tmp_path / "sft"},
        "tokenizer": start / "tokenizer",
        "problems": start / "problems.jsonl",
        "preferences": start / "preferences.jsonl",
        "output": tmp_path / "report",
        "config": CONFIG,
    }
    events = []
    artifact = write_evaluation_report(**arguments, report=events.append)
    facts = json.loads(artifact.file("report.json").read_text())
    before, after = facts["stages"]
    assert [event["stage"] for event in events] == ["pretrained", "sft"]
    assert before["greedy"]["well_formed_rate"] == 0.0
    assert after["greedy"]["well_formed_rate"] >= 0.9
    assert after["prefers_chosen"] > before["prefers_chosen"]
    assert before["bits_per_byte"] is None
    assert after["stored"]["num_train_examples"] == 16
    assert artifact.summary["sft"]["greedy_well_formed_rate"] == after["greedy"]["well_formed_rate"]
    assert before["kl_from_first"] == pytest.approx(0.0, abs=1e-5) and after["kl_from_first"] > 0.1
    assert before["response_tokens"] > after["response_tokens"] > 1  # who ends a turn says less
    [gain] = facts["gains"]
    found = [stage["greedy"]["verified_rate"] for stage in (before, after)]
    assert gain["gain"] == pytest.approx(found[1] - found[0]) and facts["num_pairs"] == 16
    assert gain["error_removed"] == pytest.approx(gain["gain"] / (1 - found[0]))
    wins = 0.5 + (found[0] - found[1]) / 2
    assert before["win_rate"] == pytest.approx(wins) and before["win_standard_error"] >= 0
    assert (after["win_rate"], after["win_standard_error"], facts["win_rate_against"]) == (0.5, 0.0, "sft")
    assert artifact.summary["pretrained"]["win_rate"] == before["win_rate"]
    assert len(facts["samples"]) == 3
    page = artifact.file("report.md").read_text()
    assert "| pretrained | – |" in page
    assert sum(line.startswith("| sft |") for line in page.splitlines()) == 1
    events.clear()
    assert write_evaluation_report(**arguments, report=events.append).digest == artifact.digest
    assert events == []


def test_gains_are_paired_by_problem_and_held_against_the_errors_before():
    right = {"sft": (1, 1, 0, 0), "dpo": (1, 0, 1, 1), "grpo": (1, 1, 1, 1)}
    answers = {name: [SimpleNamespace(is_verified=bool(each)) for each in row] for name, row in right.items()}
    first, second, third = _gains(answers)
    # Changes 0, -1, 1, 1: their mean is 1/4, the sum of the squares about it 11/4; half of the answers were wrong.
    assert first == {
        "from": "sft", "to": "dpo", "gain": 0.25, "error_removed": 0.5,
        "standard_error": pytest.approx((2.75 / 3) ** 0.5 / 2),
    }  # fmt: skip
    assert (second["to"], second["error_removed"], third["from"], third["error_removed"]) == ("grpo", 1.0, "dpo", 1.0)
    assert _gains({"grpo": answers["grpo"], "again": answers["grpo"]})[0]["error_removed"] is None


@pytest.mark.parametrize(
    ("ours", "theirs", "wanted", "error"),
    [
        # Wins 1, 1/2, 1/2 and 0; their squares about 1/2 sum to 1/2.
        ((1, 1, 0, 0), (0, 1, 0, 1), 0.5, (0.5 / 3) ** 0.5 / 2),
        ((1, 1, 1, 1), (0, 0, 0, 0), 1.0, 0.0),
        ((0, 0, 0, 0), (1, 1, 1, 1), 0.0, 0.0),
        ((1, 1, 1, 0), (0, 0, 1, 0), 0.75, (0.25 / 3) ** 0.5 / 2),
        ((1,), (0,), 1.0, 0.0),
    ],
)
def test_a_tie_is_half_a_win(ours, theirs, wanted, error):
    answers = [[SimpleNamespace(is_verified=bool(each)) for each in row] for row in (ours, theirs)]
    assert win_rate(*answers) == {"win_rate": wanted, "win_standard_error": pytest.approx(error)}
    turned = win_rate(*answers[::-1])
    assert turned["win_rate"] == 1 - wanted and win_rate(answers[0], answers[0])["win_rate"] == 0.5
    assert win_rate(answers[0], None) == {"win_rate": None, "win_standard_error": None}


def test_markup_that_a_model_wrote_shows_as_text():
    assert escape("a|b\n<script>") == r"a\|b ⏎ \<script\>"
    assert escape("[x](javascript:1) ![y](z)").count("\\") == 9


def test_what_cannot_be_reported_is_named(start, tmp_path):  # noqa: F811
    with pytest.raises(InputError, match="models: none given"):
        write_evaluation_report({}, start / "tokenizer", start / "problems.jsonl", tmp_path / "report")
    with publish(tmp_path / "odd", kind="model", config={}, inputs={}, code="test") as publication:
        (publication.path / "evaluation.json").write_text("[1]")
    with pytest.raises(InputError, match="a list, expected an object"):
        stored_evaluation(publication.artifact)


def test_the_page_shows_what_a_stage_costs_the_language_and_how_sure_a_rate_is():
    rates = {"well_formed_rate": 1.0, "verified_rate": 0.8, "verified_standard_error": 0.02}
    stages = [
        {"stage": name, "bits_per_byte": bits, "prefers_chosen": None, "greedy": rates, "sampled": rates, "stored": {}}
        for name, bits in (("pretrained", 0.5), ("sft", 0.51), ("dpo", 1.0))
    ]
    for stage, tax in zip(stages, (None, 0.02, 1.0), strict=True):
        stage |= {"tax": tax, "response_tokens": 21.04, "kl_from_first": 0.25}
    stages[2] |= {"win_rate": 0.6125, "win_standard_error": 0.0312}
    gain = {"from": "sft", "to": "dpo", "gain": 0.2, "standard_error": 0.025, "error_removed": 0.5}
    facts = {"num_problems": 400, "num_pairs": 300, "stages": stages, "gains": [gain], "samples": []}
    page = render_report({**facts, "win_rate_against": "sft"})
    assert "| 0.250 | 61.3% ± 3.1 |" in page and "| 0.250 | – |" in page
    assert "The win rate compares the rewards of greedy answers with those of sft" in page
    assert "The win rate compares" not in render_report(facts)
    assert "| pretrained | 0.500 | – | – | 100.0% | 80.0% ± 2.0 |" in page
    assert "| sft | 0.510 | +2.00% |" in page and "| dpo | 1.000 | +100.00% |" in page and "| 21.0 | 0.250 |" in page
    gains = "+20.0 ± 2.5 percentage points of verified greedy answers; 50.0% of the errors removed."
    assert f"- dpo over sft: {gains}" in page
    assert "All stages answer the same problems" in page and "(300)" in page
