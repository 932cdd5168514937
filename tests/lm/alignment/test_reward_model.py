"""The reward model: its loss, what it reads, what it learns, and its files."""

import json
import math
import os
import signal

import pytest
import torch

from lm.alignment.config import RewardModelConfig
from lm.alignment.preferences import Pair
from lm.alignment.reward_model import (
    RewardModel,
    bradley_terry_loss,
    load_reward_model,
    score_pairs,
    train_reward_model,
)
from lm.chat.template import ChatExample
from lm.errors import Interrupted
from lm.model import TransformerLM, preset
from tests.lm.alignment.conftest import shows_metrics

EXAMPLES = [ChatExample([1, 2, 3, 4], 2), ChatExample([5, 6], 1), ChatExample([1, 2, 3, 4, 5, 6, 7], 2)]


def a_reward_model():
    torch.manual_seed(0)
    rewards = RewardModel(TransformerLM(preset("test"))).eval()
    torch.nn.init.normal_(rewards.head.weight)
    return rewards


def test_the_loss_by_hand():
    found = bradley_terry_loss(torch.tensor([1.0, 0.0, -400.0]), torch.tensor([1.0, 2.0, 0.0]))
    assert found.tolist() == pytest.approx([math.log(2), math.log(1 + math.exp(2)), 400.0])


def test_a_reward_is_read_at_the_last_token_whatever_the_padding():
    rewards = a_reward_model()
    together = rewards(EXAMPLES)
    for example, found in zip(EXAMPLES, together, strict=True):
        hidden = rewards.backbone.hidden(torch.tensor([example.token_ids]))[0, -1]
        torch.testing.assert_close(found, hidden @ rewards.head.weight[0], atol=1e-5, rtol=1e-5)
    changed = rewards([ChatExample([*EXAMPLES[0].token_ids[:-1], 9], 2)])
    assert changed.item() != pytest.approx(together[0].item(), abs=1e-4)


def test_a_new_model_is_undecided():
    rewards = RewardModel(TransformerLM(preset("test")))
    found = score_pairs(rewards, [Pair(EXAMPLES[0], EXAMPLES[1])] * 3, batch_size=2)
    assert found == {"loss": pytest.approx(math.log(2)), "accuracy": 0.5, "margin": 0.0}


def test_it_learns_the_pairs_and_is_loaded_as_it_was(start, tmp_path):
    config = RewardModelConfig(num_steps=30, batch_size=16, learning_rate=3e-3, device="cpu")
    places = {"model": start / "model", "tokenizer": start / "tokenizer", "preferences": start / "preferences.jsonl"}
    artifact = train_reward_model(config, **places, output=tmp_path / "rewards")
    figures = artifact.summary
    assert figures["before"]["accuracy"] == 0.5 and figures["before"]["loss"] == pytest.approx(math.log(2))
    assert figures["after"]["accuracy"] >= 0.9 and figures["after"]["loss"] < 0.3
    assert train_reward_model(config, **places, output=tmp_path / "rewards").digest == artifact.digest
    rows = [json.loads(line) for line in artifact.file("metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 30 and shows_metrics(tmp_path / "rewards", rows)
    pair = [Pair(EXAMPLES[0], EXAMPLES[1])]
    loaded = load_reward_model(artifact)
    assert loaded.head.weight.any()
    assert score_pairs(loaded, pair) == score_pairs(load_reward_model(artifact.path / artifact.folder.name), pair)


@pytest.mark.fault(28)
def test_a_reward_model_that_was_stopped_goes_on_to_the_same_bytes(start, tmp_path):
    config = RewardModelConfig(num_steps=5, batch_size=4, learning_rate=3e-3, device="cpu", num_threads=1)
    places = {"model": start / "model", "tokenizer": start / "tokenizer", "preferences": start / "preferences.jsonl"}
    whole = train_reward_model(config, **places, output=tmp_path / "whole")
    for last in (2, 4):  # stopped twice

        def stop(event, last=last):
            if event["step"] == last:
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(Interrupted):
            train_reward_model(config, **places, output=tmp_path / "stopped", report=stop)
    events = []
    resumed = train_reward_model(config, **places, output=tmp_path / "stopped", report=events.append)
    assert [event["step"] for event in events] == [5]
    assert resumed.files == whole.files and resumed.digest == whole.digest
    assert not (tmp_path / "stopped.work" / "stage").exists()
