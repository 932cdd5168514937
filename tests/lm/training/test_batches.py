import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lm.errors import ConfigurationError, InputError
from lm.shards import ShardWriter, TokenShards
from lm.storage import publish
from lm.training import (
    BatchLoader,
    PrefetchedLoader,
    TokenStream,
    get_batch,
    make_reading_order,
    steps_that_read,
    steps_that_read_document,
)
from lm.training.reading_order import ReadingOrder, Source, _ranks
from lm.training.windows import DocumentWindows, StreamWindows, one_each
from tests.lm.training.corpora import END_OF_TEXT, make_shards

PACKINGS = ("stream", "best_fit", "padded")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return TokenShards.open(make_shards(tmp_path_factory.mktemp("shards") / "s"))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Shards whose rows come from three sources in turn."""
    random = np.random.default_rng(0)
    target = tmp_path_factory.mktemp("mixed") / "s"
    with publish(target, kind="token_shards", config={}, inputs={}, code="test") as publication:
        options = {"tokenizer_digest": "t", "vocab_size": 64, "end_of_text_id": END_OF_TEXT}
        with ShardWriter(publication.path, max_tokens_per_shard=300, **options) as writer:
            for index in range(40):
                length = int(random.integers(3, 60))
                writer.write(f"doc-{index}", ("web", "books", "code")[index % 3], np.full(length, index))
    return TokenShards.open(target)


def _loader(shards, *, batch_size=4, context_length=16, seed=0, packing="stream", weights=None, **options):
    order = make_reading_order(shards, packing=packing, context_length=context_length, seed=seed, weights=weights)
    return BatchLoader(order, batch_size=batch_size, **options)


def test_a_stream_is_the_shards_one_after_the_other(shards):
    stream = TokenStream(shards)
    whole = np.concatenate([shard.tokens for shard in shards.shards])
    assert len(shards.shards) > 2
    assert np.array_equal(stream.read(0, len(stream)), whole)
    edge = shards.shards[0].tokens.size
    assert np.array_equal(stream.read(edge - 3, 7), whole[edge - 3 : edge + 4])
    with pytest.raises(IndexError):
        stream.read(len(stream) - 1, 2)


def test_a_stream_of_one_source_has_its_documents_alone(mixed):
    stream = TokenStream(mixed, "books")
    expected = [np.append(np.full(size, index), END_OF_TEXT) for index, size in _sizes(mixed, "books")]
    assert np.array_equal(stream.read(0, len(stream)), np.concatenate(expected))
    assert list(stream.document_begins) == list(np.cumsum([0, *(len(ids) for ids in expected)]))
    assert stream.doc_ids(0, len(stream)) == [f"doc-{index}" for index, _ in _sizes(mixed, "books")]
    assert stream.span_of("doc-4") == (len(expected[0]), len(expected[0]) + len(expected[1]))
    assert stream.span_of("doc-3") is None
    assert [stream.begins_document(position) for position in (0, 1, len(expected[0]))] == [True, False, True]


def _sizes(shards, source):
    for number, shard in enumerate(shards.shards):
        for row in range(len(shard.doc_ids)):
            if shards.source(number, row) == source:
                yield int(shards.doc_id(number, row).removeprefix("doc-")), shards.document(number, row).size - 1


def test_a_span_knows_its_documents(shards):
    stream = TokenStream(shards)
    assert stream.doc_ids(0, len(stream)) == [f"train-{index}" for index in range(12)]
    first = shards.document(0, 0).size
    assert stream.doc_ids(first - 1, first) == ["train-0"]
    assert stream.doc_ids(first - 1, first + 1) == ["train-0", "train-1"]


def test_a_stream_batch_holds_the_stream_at_its_windows(shards):
    loader = _loader(shards, batch_size=5)
    batch = loader.next_batch()
    assert batch.ids.shape == (5, 17) and batch.ids.dtype == torch.int64 and batch.num_targets == 80
    assert batch.counted is None and batch.document_ids is None
    for ids, place in zip(batch.ids, batch.places, strict=True):
        ((start, end),) = loader.order.window(place).pieces
        assert np.array_equal(ids.numpy(), TokenStream(shards).read(int(start) - 1, int(end - start) + 1))


@pytest.mark.parametrize("packing", ["best_fit", "padded"])
def test_whole_documents_follow_an_end_of_text_and_padding_does_not_count(shards, packing):
    loader = _loader(shards, batch_size=4, context_length=64, packing=packing, document_masks=True)
    stream = TokenStream(shards)
    for _ in range(8):
        batch = loader.next_batch()
        counted = torch.ones_like(batch.document_ids, dtype=torch.bool) if batch.counted is None else batch.counted
        assert batch.num_targets == counted.sum()
        for row, place in enumerate(batch.places):
            at = 0
            pieces, left_out = loader.order.window(place)
            for piece, (start, end) in enumerate(pieces):
                size = int(end - start)
                assert np.array_equal(batch.ids[row, at + 1 : at + 1 + size].numpy(), stream.read(int(start), size))
                if stream.begins_document(int(start)):
                    assert batch.ids[row, at] == END_OF_TEXT
                assert counted[row, at] == (not left_out[piece])
                assert counted[row, at + 1 : at + size].all()
                assert len(batch.document_ids[row, at : at + size].unique()) == 1
                at += size
            assert not counted[row, at:].any() and (batch.ids[row, at + 1 :] == END_OF_TEXT).all()
            assert len(batch.document_ids[row].unique()) == len(pieces) + (at < 64)


def test_document_ids_of_a_stream_change_with_the_target(shards):
    batch = _loader(shards, document_masks=True, context_length=64).next_batch()
    targets, documents = batch.ids[:, :-1], batch.document_ids
    # The end-of-text id as an input is the first of the next document.
    changes = documents[:, 1:] != documents[:, :-1]
    assert torch.equal(changes, targets[:, 1:] == END_OF_TEXT)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("weights", [None, {"web": 3, "books": 1}])
@pytest.mark.parametrize("steps_before", [0, 9, 30])
def test_a_restored_loader_deals_the_same_batches(mixed, packing, weights, steps_before):
    whole, resumed = (_loader(mixed, seed=1, packing=packing, weights=weights) for _ in range(2))
    for _ in range(steps_before):
        whole.next_batch()
    resumed.restore(whole.state())
    for _ in range(20):
        assert torch.equal(whole.next_batch().ids, resumed.next_batch().ids)


@pytest.mark.parametrize("packing", PACKINGS)
def test_processes_share_a_batch_and_their_number_may_change(mixed, packing):
    options = {"batch_size": 6, "packing": packing, "weights": {"web": 2, "code": 1}}
    single = _loader(mixed, **options)
    state = single.state()
    for world_size in (2, 3, 1, 6):
        ranks = [_loader(mixed, **options, rank=rank, world_size=world_size) for rank in range(world_size)]
        for loader in ranks:
            loader.restore(state)
        for _ in range(5):
            whole, parts = single.next_batch(), [loader.next_batch() for loader in ranks]
            assert torch.equal(whole.ids, torch.cat([part.ids for part in parts]))
            assert {part.num_targets for part in parts} == {whole.num_targets}
        state = ranks[-1].state()
        assert state == single.state()


def test_a_batch_that_cannot_be_shared_is_refused(shards):
    with pytest.raises(ConfigurationError, match="batch_size: 4, expected a multiple of the 3 processes"):
        _loader(shards, world_size=3)
    with pytest.raises(ConfigurationError, match="batch_size: 0, expected at least 1"):
        _loader(shards, batch_size=0)


def test_sources_come_in_their_shares_at_every_moment(mixed):
    loader = _loader(mixed, batch_size=1, weights={"web": 5, "books": 3, "code": 2})
    seen = {"web": 0, "books": 0, "code": 0}
    for step in range(1, 201):
        batch = loader.next_batch()
        name = loader.order.sources[batch.places[0].source].name
        seen[name] += 1
        for source, weight in (("web", 0.5), ("books", 0.3), ("code", 0.2)):
            assert abs(seen[source] - weight * step) <= 1
        assert {("web", "books", "code")[i % 3] for i in batch.ids.unique().tolist() if i != END_OF_TEXT} == {name}
    assert loader.state()["code"]["epoch"] > 0


def test_ranks_are_those_of_the_windows_dealt_however_small_a_source_is():
    """One large source and many small ones, whose first windows all fall due late."""
    for large, num_small in ((0.9, 20), (0.8, 9), (0.7, 5), (0.5, 1)):
        weights = [large, *[(1 - large) / num_small] * num_small]
        order = ReadingOrder(
            [Source(f"{i}", None, StreamWindows(10_000, 16, seed=0), weight) for i, weight in enumerate(weights)]
        )
        dealt = [order.next().source for _ in range(300)]
        for num_dealt in (1, 7, 10, 88, 300):
            for source in range(len(weights)):
                expected = [rank for rank, index in enumerate(dealt[:num_dealt]) if index == source]
                assert _ranks(order, source, num_dealt).tolist() == expected


def test_a_source_too_small_for_a_window_is_named(mixed):
    with pytest.raises(InputError, match=r"source 'code': .* expected at least context_length \+ 1 = 4,097"):
        _loader(mixed, weights={"code": 1}, context_length=4_096)


def test_unknown_and_impossible_sources_are_named(mixed):
    with pytest.raises(ConfigurationError, match=r"source_weights: unknown key 'book'; did you mean 'books'\?"):
        _loader(mixed, weights={"book": 1})
    with pytest.raises(ConfigurationError, match=r"source_weights.web: 0, expected a number above 0"):
        _loader(mixed, weights={"web": 0})


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("weights", [None, {"web": 3, "books": 1, "code": 0.7}])
def test_steps_that_read_a_document(mixed, packing, weights):
    loader = _loader(mixed, batch_size=3, seed=2, packing=packing, weights=weights)
    stream_of = [source.stream for source in loader.order.sources]
    expected = {f"doc-{index}": set() for index in range(40)}
    for step in range(1, 61):
        for place in loader.next_batch().places:
            pieces, left_out = loader.order.window(place)
            for (start, end), skip in zip(pieces, left_out, strict=True):
                for doc_id in stream_of[place.source].doc_ids(int(start) + int(skip), int(end)):
                    expected[doc_id].add(step)
    order = _loader(mixed, seed=2, packing=packing, weights=weights).order
    for doc_id, steps in expected.items():
        assert steps_that_read_document(order, 3, 60, doc_id) == sorted(steps)
    assert list(steps_that_read(order, 3, 60, 0, 10**9)) == sorted(
        step for step in range(1, 61) if weights is None or step in set().union(*_steps_of(expected, mixed, order))
    )


def _steps_of(expected, shards, order):
    name = order.sources[0].name
    return [expected[f"doc-{index}"] for index, _ in _sizes(shards, name)]


@pytest.mark.parametrize("depth", [1, 3])
def test_reading_ahead_changes_nothing(mixed, depth):
    plain, ahead = (_loader(mixed, packing="best_fit") for _ in range(2))
    ahead = PrefetchedLoader(ahead, depth)
    for _ in range(12):
        assert torch.equal(plain.next_batch().ids, ahead.next_batch().ids)
        assert plain.state() == ahead.state()
    state = ahead.state()
    ahead.next_batch()
    ahead.restore(state)
    assert torch.equal(plain.next_batch().ids, ahead.next_batch().ids)
    ahead.close()


def test_an_error_of_the_reading_thread_surfaces(shards):
    loader = _loader(shards)
    loader.order.sources[0].windows.window = lambda epoch, position: 1 / 0
    ahead = PrefetchedLoader(loader, 2)
    with pytest.raises(ZeroDivisionError):
        ahead.next_batch()
    ahead.close()


def test_too_few_tokens_are_refused(shards):
    with pytest.raises(InputError, match="expected at least context_length"):
        _loader(shards, context_length=10_000)


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


def _uneven_documents(lengths):
    return DocumentWindows(np.cumsum([0, *lengths]), 32, 0, one_each)


@given(st.lists(st.lists(st.integers(1, 32), min_size=1, max_size=9), min_size=2, max_size=4), st.data())
@settings(deadline=None, max_examples=40)
def test_shares_are_of_the_targets_however_many_a_window_holds(documents, data):
    weights = [data.draw(st.floats(0.1, 10)) for _ in documents]
    total = sum(weights)
    sources = [
        Source(f"{i}", None, _uneven_documents(lengths), weight / total)
        for i, (lengths, weight) in enumerate(zip(documents, weights, strict=True))
    ]
    order, read, dealt = ReadingOrder(sources), [0] * len(sources), []
    for _ in range(200):
        place = order.next()
        dealt.append(place.source)
        read[place.source] += order.window(place).num_targets
        for targets, source in zip(read, sources, strict=True):
            assert abs(targets - source.weight * sum(read)) <= 32 * len(sources)
    again = ReadingOrder(sources)
    again.restore(order.state())
    assert [again.next() for _ in range(50)] == [order.next() for _ in range(50)]
    for source in range(len(sources)):
        expected = [rank for rank, index in enumerate(dealt) if index == source]
        assert _ranks(order, source, 200).tolist() == expected
