"""GSM8K and HH as they are published go through the whole path of the data, and no example is silently lost."""

import gzip
import json

import pytest

from lm.alignment.data import publish_alignment_data
from lm.alignment.dpo import encode_pairs
from lm.alignment.lengths import LengthLimit
from lm.alignment.sft import answerable, encode_instructions
from lm.chat.records import Instruction, Preference, Problem, read_records
from lm.errors import InputError
from lm.tokenizer import train_bpe
from tests.lm.alignment.conftest import SPECIAL_TOKENS


@pytest.fixture(scope="module")
def published(shared_data, tmp_path_factory):
    """The artifact, and the number of lines of each source."""
    gsm8k = [shared_data("gsm8k/train.jsonl"), shared_data("gsm8k/test.jsonl")]
    hh = shared_data("preferences/hh_harmless.jsonl.gz")
    files = {"instructions.jsonl": gsm8k, "problems.jsonl": gsm8k, "preferences.jsonl": hh}
    artifact = publish_alignment_data(files, tmp_path_factory.mktemp("published") / "data")
    num_questions = sum(path.read_text().count("\n") for path in gsm8k)
    return artifact, num_questions, len(gzip.decompress(hh.read_bytes()).splitlines())


@pytest.fixture(scope="module")
def tokenizer(published):
    lines = published[0].file("instructions.jsonl").read_text().splitlines()[:400]
    return train_bpe([json.loads(line)["response"] for line in lines], 600, SPECIAL_TOKENS)


def test_every_line_is_a_record_or_counted(published):
    artifact, num_questions, num_pairs = published
    summary = artifact.summary
    for name in ("instructions", "problems"):
        assert summary[f"{name}_train"] + summary[f"{name}_heldout"] == num_questions == 8_792
        assert summary[f"{name}_heldout"] == 1_319
    left_out = sum(summary["preferences_left_out"].values())
    assert summary["preferences_train"] + summary["preferences_heldout"] + left_out == num_pairs == 1_800
    assert left_out == 6


def test_every_solution_has_the_problems_answer(published):
    artifact, *_ = published
    instructions = read_records(Instruction, artifact.file("instructions.jsonl"))
    problems = read_records(Problem, artifact.file("problems.jsonl"))
    assert [problem.answer for problem in answerable(instructions)] == [problem.answer for problem in problems]


@pytest.mark.parametrize("rule", ["skip", "cut"])
def test_every_example_is_encoded_cut_or_left_out(published, tokenizer, rule):
    artifact, *_ = published
    path = artifact.file("instructions.jsonl")
    instructions = read_records(Instruction, path)[::8]
    limit = LengthLimit(257, rule)
    examples = encode_instructions(tokenizer, instructions, path, limit)
    assert len(examples) + limit.counts["left_out"] == len(instructions)
    assert max(len(example.token_ids) for example in examples) <= 257
    assert limit.counts["cut" if rule == "cut" else "left_out"] > 0
    assert all(example.num_response_tokens > 0 for example in examples)
    with pytest.raises(InputError, match="too_long: 'skip' leaves such examples out"):
        encode_instructions(tokenizer, instructions, path, LengthLimit(257))


def test_every_pair_is_encoded_with_the_turns_before_it_or_left_out(published, tokenizer):
    artifact, *_ = published
    path = artifact.file("preferences.jsonl")
    preferences = read_records(Preference, path)[::4]
    limit = LengthLimit(1_025, "skip")
    pairs = encode_pairs(tokenizer, preferences, path, limit)
    assert 0.5 * len(preferences) < len(pairs) <= len(preferences)
    assert limit.counts["left_out"] >= len(preferences) - len(pairs)
    users = tokenizer.special_id("<|user|>")
    turns = {pair.chosen.token_ids[: pair.chosen.num_prompt_tokens].count(users) for pair in pairs}
    assert min(turns) == 1 and max(turns) > 2
