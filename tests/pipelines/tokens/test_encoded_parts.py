"""A corpus encoded part by part."""

import pytest

from lm.tokenizer import Tokenizer
from pipelines.documents import tables
from pipelines.tokens.encoded_parts import encode_in_parts
from pipelines.tokens.shards import (
    write_token_shards,
)
from tests.pipelines.published import doc_id, publish_documents
from tests.pipelines.tokens.corpus import HOSTILE, TEXTS


def test_an_interrupted_call_goes_on_with_the_next_part(made, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_ROWS_PER_GROUP", 40)
    monkeypatch.setattr(tables, "_BATCH_ROWS", 40)
    documents = publish_documents(tmp_path / "documents", TEXTS + HOSTILE)
    encoded = []

    def encode_batch(self, texts, num_threads=1):
        if len(encoded) == 2 and not encoded.count("again"):
            encoded.append("again")
            raise KeyboardInterrupt
        encoded.append(texts[0])
        return original(self, texts, num_threads)

    original = Tokenizer.encode_batch
    monkeypatch.setattr(Tokenizer, "encode_batch", encode_batch)
    with pytest.raises(KeyboardInterrupt):
        write_token_shards(documents, made[1], tmp_path / "shards", made[3])
    whole = sorted(path.parent.name for path in (tmp_path / "shards.work").glob("*/manifest.json"))
    assert whole == ["part-00000", "part-00001"]
    resumed = write_token_shards(documents, made[1], tmp_path / "shards", made[3])
    starts = [text for text in encoded if text != "again"]
    assert starts == [(TEXTS + HOSTILE)[i] for i in (0, 40, 80, 120)]  # no part twice
    assert not (tmp_path / "shards.work").exists()
    assert resumed.digest == write_token_shards(documents, made[1], tmp_path / "unbroken", made[3]).digest


def test_the_documents_come_back_in_their_order_with_their_ids(made, tmp_path):
    documents, tokenizer = made[0], Tokenizer.load(made[1])
    encoded = list(encode_in_parts(documents, tokenizer, tmp_path / "work"))
    texts = TEXTS + HOSTILE
    assert [each.doc_id for each in encoded] == [doc_id(number) for number in range(len(texts))]
    for each, text in zip(encoded, texts, strict=True):
        assert tokenizer.decode(each.token_ids) == text and each.survives
        assert each.token_ids.tolist() == tokenizer.encode(text)
        assert (each.text_bytes, each.source) == (len(text.encode()), "test")
