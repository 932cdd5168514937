"""Token shards from documents: splits, order, counts, round trips."""

import random

import pytest

from lm.errors import ConfigurationError, InputError
from lm.shards import TokenShards
from lm.tokenizer import Tokenizer
from pipelines.tokens.shards import (
    TokenizeConfig,
    TokenizerConfig,
    shuffled,
    split_of,
    train_corpus_tokenizer,
    write_token_shards,
)
from tests.pipelines.published import doc_id, publish_documents
from tests.pipelines.tokens.corpus import HOSTILE, TEXTS


def test_the_tokenizer_is_the_contracts(made):
    tokenizer = Tokenizer.load(made[1])
    assert tokenizer.special_tokens == ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
    assert tokenizer.vocab_size == made[1].summary["vocab_size"] == 300
    assert all(len(tokenizer.encode(digits)) == len(digits) for digits in ("1234", "37"))


def test_every_document_comes_back(made):
    _, tokenizer_artifact, shards, config = made
    tokenizer = Tokenizer.load(tokenizer_artifact)
    texts = {}
    for split in ("train", "validation"):
        opened = TokenShards.open(shards, split, tokenizer_digest=tokenizer.digest)
        for index, shard in enumerate(opened.shards):
            for row in range(shard.offsets.size - 1):
                ids = opened.document(index, row).tolist()
                assert ids[-1] == tokenizer.end_of_text_id and tokenizer.end_of_text_id not in ids[:-1]
                assert split_of(opened.doc_id(index, row), config) == split
                assert opened.source(index, row) == "test"
                texts[opened.doc_id(index, row)] = tokenizer.decode(ids[:-1])
    assert texts == {doc_id(i): text for i, text in enumerate(TEXTS + HOSTILE)}
    assert shards.summary["num_round_trip_failures"] == 0


def test_counts_per_split_and_shard(made):
    _, _, shards, config = made
    summary = shards.summary
    for split in ("train", "validation"):
        own = [text for i, text in enumerate(TEXTS + HOSTILE) if split_of(doc_id(i), config) == split]
        assert summary["documents"][split] == len(own) > 0
        assert summary["text_bytes"][split] == sum(len(text.encode()) for text in own)
        opened = TokenShards.open(shards, split)
        assert summary["tokens"][split] == opened.num_tokens
        parts = [summary["shards"][shard.path.name] for shard in opened.shards]
        assert [part["tokens"] for part in parts] == [shard.tokens.size for shard in opened.shards]
        assert sum(part["text_bytes"] for part in parts) == summary["text_bytes"][split]
    assert len(TokenShards.open(shards, "train").shards) > 1


def test_the_same_bytes_again_and_another_order_by_seed(made, tmp_path):
    documents, tokenizer, shards, config = made
    again = write_token_shards(documents, tokenizer, tmp_path / "again", config, num_threads=3)
    assert again.digest == shards.digest
    other = TokenizeConfig(validation_share=0, shuffle_buffer=16, seed=2)
    opened = TokenShards.open(write_token_shards(documents, tokenizer, tmp_path / "other", other))
    order = [opened.doc_id(0, row) for row in range(opened.num_documents)]
    assert order != sorted(order) == [doc_id(i) for i in range(len(order))]
    assert TokenShards.open(tmp_path / "other", "validation").num_documents == 0


def test_more_documents_move_none_between_splits():
    config = TokenizeConfig(validation_share=0.3)
    held_out = [split_of(doc_id(i), config) == "validation" for i in range(4000)]
    assert 0.27 < sum(held_out) / len(held_out) < 0.33
    wider = TokenizeConfig(validation_share=0.5)
    assert all(split_of(doc_id(i), wider) == "validation" for i in range(4000) if held_out[i])


@pytest.mark.parametrize("buffer_size", [1, 7, 1000])
def test_the_shuffle_loses_nothing_and_keeps_to_its_buffer(buffer_size):
    items = list(range(200))
    order = list(shuffled(items, buffer_size, seed=3))
    assert sorted(order) == items and order == list(shuffled(items, buffer_size, seed=3))
    assert all(item <= place + buffer_size for place, item in enumerate(order))
    assert (order == items) == (buffer_size == 1)


def test_a_shuffle_that_holds_all_is_uniform():
    first = [next(shuffled(range(4), 10, seed)) for seed in range(400)]
    assert all(70 < first.count(item) < 130 for item in range(4))


def test_learning_can_stop_early(tmp_path):
    random.seed(1)
    documents = publish_documents(tmp_path / "in", ["abababab", "cdcdcdcd"])
    tokenizer = Tokenizer.load(
        train_corpus_tokenizer(documents, tmp_path / "out", TokenizerConfig(vocab_size=262, max_text_bytes=8))
    )
    assert tokenizer.merges[0] == (b"a", b"b")
    assert len(tokenizer.encode("cdcd")) == 4


def test_a_sample_is_drawn_from_all_of_the_corpus(tmp_path):
    documents = publish_documents(tmp_path / "in", [f"only{i:03d}" for i in range(400)])
    whole = train_corpus_tokenizer(documents, tmp_path / "all", TokenizerConfig(vocab_size=262))
    part = train_corpus_tokenizer(documents, tmp_path / "some", TokenizerConfig(vocab_size=262, sample_share=0.25))
    assert whole.summary["text_bytes"] == 400 * 7
    assert 60 * 7 < part.summary["text_bytes"] < 140 * 7
    assert part.summary["pruned_pre_tokens"] == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"validation_share": 1.0}, "tokenize.validation_share: 1.0, expected at least 0 and below 1"),
        ({"shuffle_buffer": 0}, "tokenize.shuffle_buffer: 0, expected at least 1"),
    ],
)
def test_impossible_configurations_are_refused(values, message):
    with pytest.raises(ConfigurationError, match=message):
        TokenizeConfig(**values)


@pytest.mark.parametrize("share", [0, 1.5])
def test_an_impossible_sample_is_refused(share):
    with pytest.raises(ConfigurationError, match=r"tokenizer.sample_share: .*, expected above 0 and at most 1"):
        TokenizerConfig(sample_share=share)


def test_no_tokenizer_there(made, tmp_path):
    with pytest.raises(InputError, match="no tokenizer here"):
        write_token_shards(made[0], tmp_path, tmp_path / "out")
