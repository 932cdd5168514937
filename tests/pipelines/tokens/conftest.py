"""A small corpus with its tokenizer and shards."""

import pytest

from pipelines.tokens.shards import TokenizeConfig, TokenizerConfig, train_corpus_tokenizer, write_token_shards
from tests.pipelines.published import publish_documents
from tests.pipelines.tokens.corpus import HOSTILE, TEXTS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    documents = publish_documents(folder / "documents", TEXTS + HOSTILE)
    tokenizer = train_corpus_tokenizer(documents, folder / "tokenizer", TokenizerConfig(vocab_size=300))
    config = TokenizeConfig(validation_share=0.2, max_tokens_per_shard=1500, shuffle_buffer=16)
    return documents, tokenizer, write_token_shards(documents, tokenizer, folder / "shards", config), config
