"""What the tokenizer's tests share: a small tokenizer, and GPT-2's published one."""

import pytest

from lm.tokenizer import SPECIAL_TOKENS, Tokenizer, train_bpe

SENTENCES = [
    f"In {year} the river town of Nordhaven had {year // 7} boats; it's said they'd sailed." for year in range(300)
]


@pytest.fixture(scope="session")
def sentences():
    return SENTENCES


@pytest.fixture(scope="session")
def tokenizer():
    return train_bpe(SENTENCES, 400, SPECIAL_TOKENS, "digits")


@pytest.fixture(scope="session")
def bytes_only():
    """A tokenizer without merges."""
    return Tokenizer({i: bytes([i]) for i in range(256)}, [], SPECIAL_TOKENS)


@pytest.fixture(scope="session")
def gpt2(shared_data):
    folder = shared_data("tokenizer")
    return Tokenizer.from_files(folder / "gpt2_vocab.json", folder / "gpt2_merges.txt", ["<|endoftext|>"])
