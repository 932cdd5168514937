"""Pairs of a model's own samples: right before wrong, of training problems alone, beside the given pairs."""

import json

import pytest

from lm.alignment.config import PairsConfig, SFTConfig
from lm.alignment.sampled_pairs import own_pair, write_preference_pairs
from lm.alignment.sft import train_sft
from lm.chat.records import Preference, Problem, read_records
from lm.evaluation.answers import JudgedAnswer
from lm.rewards.answer_line import parse_answer

PROBLEM = Problem(id="7", prompt="2 + 2?", answer=4, split="train")


def judged(*responses):
    """Answers to the problem; one that ends in … was cut off."""
    return [JudgedAnswer(PROBLEM, text.rstrip("…"), not text.endswith("…")) for text in responses]


@pytest.mark.parametrize(
    ("responses", "sides"),
    [
        (("#### 5", "#### 4", "#### 6"), ("#### 4", "#### 5")),
        (("#### 4", "4"), ("#### 4", "4")),
        (("#### 4…", "#### 4", "#### 5…"), None),  # nothing that was cut off is a side
        (("#### 4", "", "#### 5"), ("#### 4", "#### 5")),  # nor what says nothing
        (("", "#### 4"), None),
        (("#### 4", "#### 4"), None),
        (("#### 5", "#### 6"), None),
    ],
)
def test_a_pair_is_a_right_and_a_wrong_answer_that_ended(responses, sides):
    found = own_pair(judged(*responses))
    assert (None if found is None else (found["chosen"], found["rejected"])) == sides
    assert found is None or (found["id"], found["prompt"], found["split"]) == ("own-7", "2 + 2?", "train")


def test_own_pairs_come_before_the_given_ones(start, tmp_path):
    small = {"device": "cpu", "num_threads": 1, "max_new_tokens": 12}
    sft = SFTConfig(**small, optimizer="adamw", num_steps=20, batch_size=16, learning_rate=5e-3, evaluation_problems=4)
    places = {"tokenizer": start / "tokenizer"}
    instructions = start / "instructions.jsonl"
    tuned = train_sft(sft, **places, model=start / "model", instructions=instructions, output=tmp_path / "sft")
    config = PairsConfig(**small, num_problems=12, num_samples=6)
    data = {name: start / f"{name}.jsonl" for name in ("problems", "preferences")}
    events = []
    arguments = {**places, **data, "model": tuned.path, "output": tmp_path / "pairs"}
    artifact = write_preference_pairs(config, **arguments, report=events.append)
    pairs = read_records(Preference, artifact.file("preferences.jsonl"))
    given = [json.loads(line) for line in data["preferences"].read_text().splitlines()]
    own = pairs[: -len(given)]
    assert [pair.id for pair in pairs[len(own) :]] == [row["id"] for row in given]
    problems = {each.prompt: each for each in read_records(Problem, data["problems"]) if each.split == "train"}
    assert 0 < len(own) <= 12 and {pair.split for pair in own} == {"train"}
    for pair in own:
        answer = problems[pair.prompt].answer
        assert parse_answer(pair.chosen) == answer != parse_answer(pair.rejected)
    counts = {"num_problems": 12, "num_own_pairs": len(own), "num_given_pairs": len(given)}
    assert counts.items() <= artifact.summary.items() and 0 < artifact.summary["verified_rate"] < 1
    assert write_preference_pairs(config, **arguments, report=events.append).digest == artifact.digest
    assert len(events) == 1  # not made twice
