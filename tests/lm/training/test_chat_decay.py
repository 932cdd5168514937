"""Chat text in the decay: none before it, its share after, exact resuming, and the steps of every document."""

import itertools
import json

import numpy as np
import pytest

from lm.errors import ConfigurationError, InputError, Interrupted
from lm.shards import ShardWriter, TokenShards
from lm.storage import publish
from lm.training.batches import BatchLoader, PrefetchedLoader
from lm.training.pretrain import pretrain, work_folder
from lm.training.reading_order import (
    CHAT,
    ChatDecay,
    decay_of_run,
    make_reading_order,
    order_of_run,
    steps_that_read_document,
)
from tests.lm.training.corpora import END_OF_TEXT, config_of, make_shards, stop_at

WSD = {"schedule": "wsd", "decay_share": 0.5, "warmup_steps": 2}
CHATTING = {**WSD, "decay_chat_share": 0.25}


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    """Shards of exchanges, whose every token is 1."""
    target = tmp_path_factory.mktemp("chat") / "s"
    options = {"tokenizer_digest": "tokenizer-1", "vocab_size": END_OF_TEXT + 1, "end_of_text_id": END_OF_TEXT}
    with (
        publish(target, kind="chat_shards", config={}, inputs={}, code="test") as publication,
        ShardWriter(publication.path, **options) as writer,
    ):
        for index in range(20):
            writer.write(f"exchange-{index}", "chat", np.full(5 + index, 1))
    return publication.artifact


def loader_of(config, shards, chat):
    order = order_of_run(config, TokenShards.open(shards), chat and TokenShards.open(chat))
    return BatchLoader(order, batch_size=config.batch_size)


@pytest.mark.parametrize("packing", ["stream", "best_fit", "padded"])
@pytest.mark.parametrize(("share", "decay_share"), [(0.25, 0.5), (0.1, 0.5), (1 / 3, 1.0), (0.9, 0.3)])
def test_no_chat_comes_before_the_decay_and_its_share_holds_in_it(shards, chat, packing, share, decay_share):
    config = config_of(**{**WSD, "decay_share": decay_share}, decay_chat_share=share, packing=packing, num_steps=40)
    loader = loader_of(config, shards, chat)
    is_chat = []
    for _ in range(40):
        batch = loader.next_batch()
        assert len(batch.places) == 4
        for place, ids in zip(batch.places, batch.ids.numpy(), strict=True):
            is_chat.append(loader.order.sources[place.source].name == CHAT)
            assert bool(np.isin(ids, [1, END_OF_TEXT]).all()) == is_chat[-1]
    flat = 4 * (40 - round(40 * decay_share))
    assert not any(is_chat[:flat]) and any(is_chat[flat:])
    for windows in range(1, len(is_chat) - flat + 1):
        assert sum(is_chat[flat : flat + windows]) == int(windows * share)


def test_without_a_share_the_order_is_that_of_the_text_alone(shards, chat):
    plain, chatting = (loader_of(config_of(**each), shards, chat) for each in (WSD, CHATTING))
    text = [place for _ in range(12) for place in plain.next_batch().places]
    mixed = [place for _ in range(12) for place in chatting.next_batch().places]
    kept = [place for place in mixed if place.source == 0]
    assert kept == text[: len(kept)] and len(mixed) - len(kept) == 6
    assert len(plain.order.sources) == 1


@pytest.mark.parametrize("weights", [None, {"markov": 1.0}])
def test_a_loader_goes_on_from_its_state_at_any_step(shards, chat, weights):
    settings = {"packing": "best_fit", "context_length": 32, "seed": 3, "weights": weights}
    decay = ChatDecay(first_window=8, share=0.4)

    def fresh():
        order = make_reading_order(TokenShards.open(shards), **settings, decay=decay, chat=TokenShards.open(chat))
        return PrefetchedLoader(BatchLoader(order, batch_size=2), 2)

    whole = fresh()
    batches, states = [], []
    for _ in range(30):
        states.append(json.loads(json.dumps(whole.state())))
        batches.append(whole.next_batch())
    for step in (0, 3, 4, 11, 29):
        resumed = fresh()
        resumed.restore(states[step])
        for wanted in itertools.islice(batches, step, step + 5):
            found = resumed.next_batch()
            assert found.places == wanted.places and found.ids.equal(wanted.ids)
        resumed.close()
    whole.close()


def test_the_steps_of_a_document_are_those_of_its_batches(shards, chat):
    config = config_of(**CHATTING, packing="best_fit", num_steps=30)
    order = order_of_run(config, TokenShards.open(shards))
    loader = loader_of(config, shards, chat)
    seen = {}
    for step in range(1, 31):
        for place in loader.next_batch().places:
            if place.source == 0:
                for doc_id in loader.doc_ids([place]):
                    seen.setdefault(doc_id, []).append(step)
    for doc_id, steps in seen.items():
        found = steps_that_read_document(order, config.batch_size, 30, doc_id)
        assert set(found) <= set(steps) and len(found) > 0
        told = {step for step in steps if step > 15}
        assert not told or told & set(found)
    numbers = order.decay.text_numbers(120)
    assert numbers.tolist() == [number for number in range(120) if not order.decay.is_chat(number)]


@pytest.mark.fault(28)
def test_a_run_learns_its_chat_text_and_resumes_to_the_same_bytes(shards, chat, tmp_path):
    config = config_of(**CHATTING, packing="best_fit")
    whole = pretrain(config, shards.path, tmp_path / "whole", chat=chat.path)
    assert whole.inputs["chat"] == chat.digest and whole.summary["chat_windows"] == 6
    for step in (5, 9):
        with pytest.raises(Interrupted):
            pretrain(config, shards.path, tmp_path / "m", lambda event, at=step: stop_at(event, at), chat=chat.path)
    resumed = pretrain(config, shards.path, tmp_path / "m", chat=chat.path)
    assert resumed.files == whole.files and resumed.digest == whole.digest
    plain = pretrain(config_of(**WSD, packing="best_fit"), shards.path, tmp_path / "plain", chat=chat.path)
    assert "chat" not in plain.inputs and "chat_windows" not in plain.summary
    rows = [
        [json.loads(line) for line in made.file("metrics.jsonl").read_text().splitlines()] for made in (whole, plain)
    ]
    losses = [{row["step"]: row["loss"] for row in each if "loss" in row} for each in rows]
    assert all(losses[0][step] == losses[1][step] for step in range(1, 7)) and losses[0][8] != losses[1][8]


def test_a_flat_part_is_continued_with_chat_text_and_a_decay_is_not(shards, chat, tmp_path):
    pretrain(config_of(**WSD), shards.path, tmp_path / "trunk")
    (kept,) = (work_folder(tmp_path / "trunk") / "kept").iterdir()
    continued = config_of(**CHATTING, init_from=str(kept), init_state="run")
    found = pretrain(continued, shards.path, tmp_path / "continued", chat=chat.path)
    straight = pretrain(config_of(**CHATTING), shards.path, tmp_path / "straight", chat=chat.path)
    assert found.files == straight.files
    with pytest.raises(Interrupted):
        pretrain(config_of(**CHATTING), shards.path, tmp_path / "m", lambda event: stop_at(event, 9), chat=chat.path)
    with pytest.raises(ConfigurationError, match=r"decay_chat_share was 0\.25, is 0\.5"):
        pretrain(config_of(**{**CHATTING, "decay_chat_share": 0.5}), shards.path, tmp_path / "m", chat=chat.path)
    other = make_shards(tmp_path / "other", seed=3)
    with pytest.raises(ConfigurationError, match=r"inputs\.chat was"):
        pretrain(config_of(**CHATTING), shards.path, tmp_path / "m", chat=other.path)


def test_what_cannot_be_is_refused(shards, tmp_path):
    with pytest.raises(ConfigurationError, match=r"decay_chat_share: 0\.25, expected 0 unless schedule is wsd"):
        config_of(decay_chat_share=0.25)
    with pytest.raises(ConfigurationError, match=r"decay_chat_share: 0\.25, expected 0 without shards of chat text"):
        pretrain(config_of(**CHATTING), shards.path, tmp_path / "m")
    other = make_shards(tmp_path / "other", digest="tokenizer-2")
    with pytest.raises(InputError, match="ids come from tokenizer tokenizer-2, expected tokenizer-1"):
        pretrain(config_of(**CHATTING), shards.path, tmp_path / "m", chat=other.path)
    order = order_of_run(config_of(**CHATTING), TokenShards.open(shards))
    with pytest.raises(InputError, match="window 27 is chat text, expected shards of chat text"):
        for _ in range(28):
            order.next()
    assert decay_of_run(config_of(**WSD), 12) is None
