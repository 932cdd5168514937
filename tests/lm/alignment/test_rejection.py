"""Rejection sampling: what is kept and counted, and what a stopped sampling leaves."""

import json
import os
import random
import signal
from collections import Counter

import pytest

from lm.alignment import rejection
from lm.alignment.expert_config import RejectionConfig
from lm.alignment.rejection import select_right, write_rejection_samples
from lm.chat.records import Instruction, Problem, read_records
from lm.errors import InputError, Interrupted
from lm.rewards.answer_line import parse_answer
from lm.tokenizer import Tokenizer
from tests.lm.alignment.test_sampled_pairs import judged

SMALL = {"device": "cpu", "num_threads": 1, "max_new_tokens": 12, "temperature": 1.0}
DRAWN = ("2 + 2 = 4\n#### 4", "#### 4", "#### 5", "#### 4 ", "4 - 0 = 4\n#### 4", "#### 4…", "")
"""Answers to 2 + 2, of which three right ones differ; the one that ends in … was cut off."""


def places(start, model, output):
    data = {name: start / f"{name}.jsonl" for name in ("problems", "instructions")}
    return {**data, "tokenizer": start / "tokenizer", "model": model, "output": output}


@pytest.mark.parametrize("most_kept", [1, 2, 3, 9])
@pytest.mark.parametrize("choice", ["random", "shortest"])
def test_the_right_ones_are_kept_once_and_all_are_counted(start, most_kept, choice):
    tokenizer = Tokenizer.load(start / "tokenizer")
    config = RejectionConfig(most_kept=most_kept, choice=choice)
    kept, counts = select_right(judged(*DRAWN), config, tokenizer, random.Random(0))
    different = ["2 + 2 = 4\n#### 4", "#### 4", "4 - 0 = 4\n#### 4"]
    assert kept == [text for text in different if text in kept] and len(kept) == min(most_kept, 3)
    right = {"num_right": 4, "num_repeated": 1, "num_kept": len(kept), "num_surplus": 3 - len(kept)}
    assert counts == {"num_sampled": 7, "num_unsolved": 0, **right}
    if choice == "shortest":
        by_length = sorted(different, key=lambda text: len(tokenizer.encode(text)))
        assert set(kept) == set(by_length[:most_kept])


def test_random_ones_are_any_of_them(start):
    tokenizer, generator = Tokenizer.load(start / "tokenizer"), random.Random(0)
    config = RejectionConfig(most_kept=1)
    drawn = Counter(select_right(judged(*DRAWN), config, tokenizer, generator)[0][0] for _ in range(60))
    assert len(drawn) == 3 and min(drawn.values()) > 5


def test_a_problem_without_a_right_answer_is_counted(start):
    tokenizer = Tokenizer.load(start / "tokenizer")
    counts = select_right(judged("#### 5", "#### 4…"), RejectionConfig(), tokenizer, random.Random(0))
    assert counts[0] == [] and counts[1]["num_unsolved"] == 1 and counts[1]["num_right"] == 0


def test_samples_become_instructions_before_the_heldout_ones(start, weak, tmp_path):
    config = RejectionConfig(**SMALL, num_problems=12, num_samples=6, most_kept=2)
    arguments, events = places(start, weak.path, tmp_path / "samples"), []
    artifact = write_rejection_samples(config, **arguments, report=events.append)
    records = read_records(Instruction, artifact.file("instructions.jsonl"))
    given = [each for each in read_records(Instruction, start / "instructions.jsonl") if each.split == "heldout"]
    own = records[: -len(given)]
    assert records[len(own) :] == given and {each.split for each in own} == {"train"}
    problems = [each for each in read_records(Problem, start / "problems.jsonl") if each.split == "train"][:12]
    answers = {each.prompt: each.answer for each in problems}
    assert all(parse_answer(each.response) == answers[each.prompt] for each in own)
    found = artifact.summary
    assert found["num_kept"] == len(own) > 0 and found["num_sampled"] == 72 and found["num_problems"] == 12
    assert found["num_right"] == found["num_kept"] + found["num_repeated"] + found["num_surplus"]
    solved = {each.prompt for each in own}
    assert found["num_unsolved"] == 12 - len(solved) and max(Counter(each.prompt for each in own).values()) <= 2
    assert write_rejection_samples(config, **arguments, report=events.append).digest == artifact.digest
    assert len(events) == 1  # not made twice


def test_a_stopped_sampling_goes_on_to_the_same_bytes(start, weak, tmp_path, monkeypatch):
    monkeypatch.setattr(rejection, "_ROWS_A_PART", 16)
    config = RejectionConfig(**SMALL, num_problems=12, num_samples=4)
    whole = write_rejection_samples(config, **places(start, weak.path, tmp_path / "whole"))
    answer, drawn = rejection.answer_problems, []

    def stopped_in_part_two(model, tokenizer, problems, *rest, **more):
        drawn.append(len(problems))
        if len(drawn) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return answer(model, tokenizer, problems, *rest, **more)

    monkeypatch.setattr(rejection, "answer_problems", stopped_in_part_two)
    arguments = places(start, weak.path, tmp_path / "stopped")
    with pytest.raises(Interrupted, match="stopped by SIGTERM after 8 of 12 problems; nothing was published"):
        write_rejection_samples(config, **arguments)
    resumed = write_rejection_samples(config, **arguments)
    assert drawn == [4, 4, 4]  # no part twice
    assert resumed.files == whole.files and resumed.digest == whole.digest
    assert not (tmp_path / "stopped.work" / "samples").exists()


def test_without_any_right_answer_nothing_is_published(start, tmp_path):
    config = RejectionConfig(**SMALL, num_problems=3, num_samples=2)
    with pytest.raises(InputError, match="none of 6 answers to 3 problems is correct"):
        write_rejection_samples(config, **places(start, start / "model", tmp_path / "samples"))
    assert not (tmp_path / "samples" / "manifest.json").exists()


@pytest.mark.parametrize("too_long", ["refuse", "skip"])
def test_a_prompt_without_room_is_refused_or_left_out(start, weak, tmp_path, too_long):
    rows = [json.loads(line) for line in (start / "problems.jsonl").read_text().splitlines()]
    rows.insert(0, {"id": "long", "prompt": "1 + " * 60, "answer": 60, "split": "train"})
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = RejectionConfig(**SMALL, num_problems=9, num_samples=4, too_long=too_long)
    arguments = {**places(start, weak.path, tmp_path / "samples"), "problems": path}
    if too_long == "refuse":
        with pytest.raises(InputError, match=r"id 'long' is .* tokens, expected at most 36"):
            write_rejection_samples(config, **arguments)
    else:
        found = write_rejection_samples(config, **arguments).summary
        assert found["num_no_room"] == 1 and found["num_problems"] == 8
