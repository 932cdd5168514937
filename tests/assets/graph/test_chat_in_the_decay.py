"""Pre-training with chat text in its decay, from the instructions of the alignment data."""

import shutil

import dagster as dg

from lm.shards import TokenShards
from tests.assets import runs

NEEDED = ("token_shards", "tokenizer", "training_mixture", "training_plan", "training_budget", "alignment_data")


def test_chat_text_of_the_training_instructions_joins_the_decay(tiny_run, tiny_home, tmp_path):
    home = tmp_path / "home"
    for name in NEEDED:
        shutil.copytree(tiny_home / "artifacts" / name, home / "artifacts" / name)
    settings = {"schedule": "wsd", "decay_share": 0.5, "decay_chat_share": 0.5}
    config = {"pretrained_model": {**runs.TINY["pretrained_model"], **settings}}
    with dg.DagsterInstance.ephemeral() as instance:
        runs.materialize(instance, home, ["pretrained_model"], config=config)
    model, chat = runs.artifact(home, "pretrained_model"), runs.artifact(home, "chat_shards")
    assert model.inputs["chat"] == chat.digest and model.summary["chat_windows"] == 4
    num_instructions = runs.artifact(home, "alignment_data").summary["instructions_train"]
    assert TokenShards.open(chat).num_documents == num_instructions == 64
