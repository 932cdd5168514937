"""Shards to train on; and one thread for every test here."""

import pytest

from lm.shards import ShardWriter
from lm.storage import publish
from lm.tokenizer import Tokenizer
from tests.lm.training.corpora import make_shards


@pytest.fixture(autouse=True)
def on_one_thread(one_thread):
    """Every test here."""


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """An artifact of one source, without a tokenizer."""
    return make_shards(tmp_path_factory.mktemp("shards") / "s")


@pytest.fixture(scope="session")
def words(tmp_path_factory):
    """A tokenizer, and shards of two sources made by it."""
    folder = tmp_path_factory.mktemp("words")
    tokenizer = Tokenizer(
        {i: bytes([i]) for i in range(256)} | {256: b"<|endoftext|>"}, [], special_tokens=["<|endoftext|>"]
    )
    (folder / "tokenizer").mkdir()
    tokenizer.save(folder / "tokenizer")
    options = {
        "tokenizer_digest": tokenizer.digest,
        "vocab_size": tokenizer.vocab_size,
        "end_of_text_id": tokenizer.end_of_text_id,
    }
    texts = {"poems": "the rain the sea ", "letters": "dear aunt, écris-moi. "}
    with publish(folder / "s", kind="token_shards", config={}, inputs={}, code="test") as publication:
        for split in ("train", "validation"):
            with ShardWriter(publication.path, prefix=split, **options) as writer:
                for index in range(6):
                    for source, text in texts.items():
                        writer.write(f"{split}-{source}-{index}", source, tokenizer.encode(text * (index + 2)))
        publication.summary["text_bytes"] = {
            split: sum(len(text.encode()) * (index + 2) for index in range(6) for text in texts.values())
            for split in ("train", "validation")
        }
    return folder
