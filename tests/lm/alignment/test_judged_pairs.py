"""Pairs by a judge: of a model's own samples, published beside the given ones, with nothing sent twice."""

import json
import os
from dataclasses import replace

import pytest

from lm.alignment.config import PairsConfig
from lm.alignment.judge.config import JudgeConfig
from lm.alignment.judged_pairs import SAMPLES
from lm.alignment.sampled_pairs import write_preference_pairs
from lm.chat.records import Instruction, Preference, Problem, read_records
from lm.errors import ConfigurationError, InputError
from tests.lm.alignment.conftest import write_lines
from tests.lm.alignment.judge.judge_server import longer, serving

KEY = "sk-secret-1234567"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("JUDGE_API_KEY", KEY)
    with serving(longer) as found:
        yield found


def config(server, **changed):
    judge = JudgeConfig(base_url=server.url, model="m", api_key_variable="JUDGE_API_KEY", first_pause_s=0.01)
    small = {"device": "cpu", "num_threads": 1, "max_new_tokens": 12, "num_problems": 8}
    return PairsConfig(**{**small, "source": "judge", "judge": judge, **changed})


def arguments(start, weak, output):
    data = {name: start / f"{name}.jsonl" for name in ("problems", "preferences")}
    return {**data, "model": weak.path, "tokenizer": start / "tokenizer", "output": output}


def test_pairs_are_what_the_judge_prefers_in_both_orders(start, weak, server, tmp_path):
    given = arguments(start, weak, tmp_path / "pairs")
    artifact = write_preference_pairs(config(server), **given)
    pairs = read_records(Preference, artifact.file("preferences.jsonl"))
    num_given = len(given["preferences"].read_text().splitlines())
    own = pairs[:-num_given]
    rows = [json.loads(line) for line in artifact.file("comparisons.jsonl").read_text().splitlines()]
    prompts = {each.id: each.prompt for each in read_records(Problem, given["problems"]) if each.split == "train"}
    assert own and all(len(pair.chosen) > len(pair.rejected) for pair in own)
    assert {pair.prompt for pair in own} <= set(prompts.values()) and {pair.split for pair in own} == {"train"}
    assert [row["outcome"] in ("first", "second") for row in rows].count(True) == len(own)
    summary = artifact.summary
    assert (summary["num_comparisons"], summary["num_agreed"]) == (len(rows), len(own))
    assert summary["num_comparisons"] + summary["num_without_two_answers"] == 8 and summary["num_too_long"] == 0
    assert summary["first_place_share"] == 0.5 and summary["num_given_pairs"] == num_given
    sent = len(server.requests)
    assert sent == 2 * len(rows)
    assert write_preference_pairs(config(server), **given).digest == artifact.digest
    judge = replace(config(server).judge, max_calls=2 * len(rows) - 2, timeout_s=5)
    fewer = write_preference_pairs(config(server, judge=judge), **given)
    assert fewer.summary["num_left_out"] == 1 and len(server.requests) == sent  # the replies of the work folder
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as stream:  # noqa: PTH118, PTH123
                assert KEY.encode() not in stream.read(), name


def test_a_failed_run_goes_on_with_its_samples_and_replies(start, weak, server, tmp_path):
    given = arguments(start, weak, tmp_path / "pairs")
    server.failures = [None, None, 401]
    with pytest.raises(ConfigurationError, match=r"HTTP 401.*JUDGE_API_KEY was rejected") as caught:
        write_preference_pairs(config(server), **given)
    assert KEY not in str(caught.value) and not (tmp_path / "pairs" / "manifest.json").exists()
    samples = json.loads((tmp_path / "pairs.work" / SAMPLES).read_text())
    changed = {name: [f"{text} " for text in texts] for name, texts in samples["samples"].items()}
    (tmp_path / "pairs.work" / SAMPLES).write_text(json.dumps({**samples, "samples": changed}))  # as a GPU may draw
    artifact = write_preference_pairs(config(server), **given)
    rows = [json.loads(line) for line in artifact.file("comparisons.jsonl").read_text().splitlines()]
    assert rows and all(row["first"].endswith(" ") for row in rows)


def test_instructions_are_judged_after_their_context(start, weak, server, tmp_path):
    context = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "#### 2"}]
    rows = [
        {"id": "a", "prompt": "2 + 1?", "response": "#### 3", "split": "train", "context": context},
        {"id": "b", "prompt": "1 + 2?", "response": "#### 3", "split": "train"},
        {"id": "long", "prompt": "1 + 2? " * 50, "response": "#### 3", "split": "train"},
        {"id": "held", "prompt": "3 + 3?", "response": "#### 6", "split": "heldout"},
    ]
    path = write_lines(tmp_path / "instructions.jsonl", rows)
    given = arguments(start, weak, tmp_path / "pairs")
    settings = config(server, prompts="instructions", num_samples=16, temperature=2.0, max_new_tokens=24)
    with pytest.raises(InputError, match="instructions: no file given"):
        write_preference_pairs(settings, **given)
    artifact = write_preference_pairs(settings, **given, instructions=path)
    assert artifact.summary["num_too_long"] == 1 and artifact.summary["num_problems"] == 3
    compared = [json.loads(line) for line in artifact.file("comparisons.jsonl").read_text().splitlines()]
    assert {row["id"]: row["prompt"] for row in compared} == {
        "a": "User: 1 + 1?\n\nAssistant: #### 2\n\nUser: 2 + 1?", "b": "1 + 2?",
    }  # fmt: skip
    found = {pair.id: pair for pair in read_records(Preference, artifact.file("preferences.jsonl"))}
    if (pair := found.get("judged-a")) is not None:
        assert [message.text for message in pair.context] == ["1 + 1?", "#### 2"] and pair.prompt == "2 + 1?"
    assert {each.id for each in read_records(Instruction, path)} >= {row["id"] for row in compared}
