"""Token shards: rows in, the same rows out, mapped and not copied."""

import numpy as np
import pytest

from lm import storage
from lm.errors import ConfigurationError, InputError
from lm.shards import ShardWriter, TokenShards

FACTS = {"tokenizer_digest": "t0", "vocab_size": 300, "end_of_text_id": 299}
DOCUMENTS = [("d0", "web", [1, 2, 3]), ("d1", "web", []), ("d2", "books", list(range(290))), ("d3", "web", [7])]


def publish_shards(target, documents=DOCUMENTS, max_tokens_per_shard=8, **facts):
    with storage.publish(target, kind="token_shards", config={}, inputs={}, code="") as publication:
        for prefix in ("train", "validation"):
            with ShardWriter(
                publication.path, prefix=prefix, max_tokens_per_shard=max_tokens_per_shard, **(FACTS | facts)
            ) as writer:
                for document in documents if prefix == "train" else []:
                    writer.write(*document)
    return publication.artifact


def test_rows_come_back_with_their_end_of_text_and_source(tmp_path):
    shards = TokenShards.open(publish_shards(tmp_path / "s"), "train", "t0")
    assert [shard.path.name for shard in shards.shards] == [f"train-{i:05d}.arrow" for i in range(3)]
    rows = [
        (shards.doc_id(s, r), shards.source(s, r), shards.document(s, r).tolist())
        for s, r in [(0, 0), (0, 1), (1, 0), (2, 0)]
    ]
    assert rows == [(doc_id, source, [*ids, 299]) for doc_id, source, ids in DOCUMENTS]
    assert shards.num_documents == 4
    assert shards.num_tokens == sum(len(ids) + 1 for _, _, ids in DOCUMENTS)


def test_the_stream_is_the_rows_one_after_the_other(tmp_path):
    shards = TokenShards.open(publish_shards(tmp_path / "s", max_tokens_per_shard=10_000))
    stream = np.concatenate([[*ids, 299] for _, _, ids in DOCUMENTS])
    assert np.array_equal(shards.shards[0].tokens, stream)
    assert shards.shards[0].offsets.tolist() == [0, 4, 5, 296, 298]
    assert not shards.shards[0].tokens.flags.owndata


@pytest.mark.parametrize(("vocab_size", "dtype"), [(2**16, np.uint16), (2**16 + 1, np.uint32)])
def test_the_smallest_type_that_fits_is_used(tmp_path, vocab_size, dtype):
    shards = TokenShards.open(publish_shards(tmp_path / "s", [("d", "web", [vocab_size - 1])], vocab_size=vocab_size))
    assert shards.shards[0].tokens.dtype == dtype
    assert shards.shards[0].tokens[0] == vocab_size - 1


def test_a_split_without_documents_opens_empty(tmp_path):
    shards = TokenShards.open(publish_shards(tmp_path / "s"), "validation")
    assert (shards.num_documents, shards.num_tokens, len(shards.shards)) == (0, 0, 1)


def test_equal_documents_give_equal_bytes(tmp_path):
    first, second = publish_shards(tmp_path / "a"), publish_shards(tmp_path / "b")
    assert first.digest == second.digest


def test_another_tokenizers_shards_are_refused(tmp_path):
    with pytest.raises(InputError, match="ids come from tokenizer t0, expected t1"):
        TokenShards.open(publish_shards(tmp_path / "s"), "train", "t1")


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"document d: token id 300, expected 0 to 299"):
        publish_shards(tmp_path / "a", [("d", "web", [300])])
    with pytest.raises(ConfigurationError, match="end_of_text_id: 300, expected 0 to 299"):
        publish_shards(tmp_path / "b", end_of_text_id=300)
    with pytest.raises(InputError, match="has no 'test' shards"):
        TokenShards.open(publish_shards(tmp_path / "c"), "test")


def test_a_file_that_is_no_shard_is_named(tmp_path):
    with storage.publish(tmp_path / "s", kind="token_shards", config={}, inputs={}, code="") as publication:
        (publication.path / "train-00000.arrow").write_text("<html>")
    with pytest.raises(InputError, match=r"train-00000\.arrow: not a token shard"):
        TokenShards.open(tmp_path / "s")
