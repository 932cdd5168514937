import numpy as np
import pytest
import torch

from lm.errors import InputError
from lm.shards import TokenShards
from lm.training import BatchLoader, TokenStream, get_batch, steps_that_read
from tests.lm.training.corpora import make_shards


@pytest.fixture
def stream(tmp_path):
    return TokenStream(TokenShards.open(make_shards(tmp_path / "shards")))


def test_a_stream_is_the_shards_one_after_the_other(stream):
    whole = np.concatenate([shard.tokens for shard in stream.shards.shards])
    assert len(stream.shards.shards) > 2
    assert np.array_equal(stream.read(0, len(stream)), whole)
    edge = stream.shards.shards[0].tokens.size
    assert np.array_equal(stream.read(edge - 3, 7), whole[edge - 3 : edge + 4])
    with pytest.raises(IndexError):
        stream.read(len(stream) - 1, 2)


def test_a_span_knows_its_documents(stream):
    assert stream.doc_ids(0, len(stream)) == [f"train-{index}" for index in range(12)]
    first = stream.shards.document(0, 0).size
    assert stream.doc_ids(first - 1, first) == ["train-0"]
    assert stream.doc_ids(first - 1, first + 1) == ["train-0", "train-1"]


def test_an_epoch_visits_every_window_once_and_the_next_one_otherwise(stream):
    loader = BatchLoader(stream, batch_size=1, context_length=16, seed=5)
    num_windows = len(loader.order.starts(0))
    starts = [int(loader.next_batch().starts[0]) for _ in range(num_windows)]
    assert sorted(starts) == list(range(min(starts), len(stream) - 16, 16))
    assert starts != sorted(starts)
    assert loader.state() == {"epoch": 0, "position": num_windows}
    again = [int(loader.next_batch().starts[0]) for _ in range(5)]
    assert loader.state() == {"epoch": 1, "position": 5}
    assert again != starts[:5]


def test_a_batch_holds_the_stream_at_its_starts(stream):
    batch = BatchLoader(stream, batch_size=5, context_length=16, seed=0).next_batch()
    assert batch.ids.shape == (5, 17) and batch.ids.dtype == torch.int64 and batch.num_tokens == 80
    for ids, start in zip(batch.ids, batch.starts, strict=True):
        assert np.array_equal(ids.numpy(), stream.read(int(start), 17))


@pytest.mark.parametrize("steps_before", [0, 1, 9, 30])
def test_a_restored_loader_deals_the_same_batches(stream, steps_before):
    whole, resumed = (BatchLoader(stream, batch_size=4, context_length=16, seed=1) for _ in range(2))
    for _ in range(steps_before):
        whole.next_batch()
    resumed.restore(whole.state())
    for _ in range(20):
        assert torch.equal(whole.next_batch().ids, resumed.next_batch().ids)


def test_steps_that_read_a_document(stream):
    loader = BatchLoader(stream, batch_size=3, context_length=16, seed=2)
    start, end = 100, 140
    expected = []
    for step in range(1, 41):
        targets = [range(s + 1, s + 17) for s in loader.next_batch().starts.tolist()]
        if any(target in span for span in targets for target in range(start, end)):
            expected.append(step)
    assert list(steps_that_read(loader.order, 3, 40, start, end)) == expected
    assert len(expected) > 2


def test_too_few_tokens_are_refused(stream):
    with pytest.raises(InputError, match="expected at least context_length"):
        BatchLoader(stream, batch_size=1, context_length=10_000, seed=0)


def test_get_batch_reads_a_flat_memory_map(tmp_path):
    np.arange(1000, dtype=np.uint16).tofile(tmp_path / "ids.bin")
    ids = np.memmap(tmp_path / "ids.bin", dtype=np.uint16, mode="r")
    torch.manual_seed(0)
    inputs, targets = get_batch(ids, 64, 10)
    assert inputs.shape == targets.shape == (64, 10)
    assert torch.equal(targets, inputs + 1)
    assert len(inputs[:, 0].unique()) > 30
    with pytest.raises(InputError):
        get_batch(ids[:10], 1, 10)


def test_get_batch_reaches_both_ends():
    torch.manual_seed(0)
    inputs, targets = get_batch(np.arange(12), 200, 10)
    assert inputs.min() == 0 and targets.max() == 11
