"""Packed rows have the loss and gradients of the exchanges alone; fixed-length packing loses no id but the rest."""

import itertools

import pytest
import torch

from lm.alignment import PackedSFTDataset
from lm.alignment.packing import pack, packed_log_probs
from lm.alignment.sequences import batch_log_probs, pad
from lm.alignment.sft import accumulate_sft_gradients
from lm.chat.template import ALPACA, LOAM, ChatExample, encode_example
from lm.errors import InputError
from lm.model import TransformerLM, preset
from lm.tokenizer import Tokenizer
from tests.lm.model.variants import VARIANTS

EXAMPLES = [
    ChatExample([3, 4, 5, 6, 7], 3),
    ChatExample([9, 8], 1),
    ChatExample([1, 2, 3, 4, 5, 6, 7, 8], 2),
    ChatExample([4, 4, 2], 2),
    ChatExample([7, 6, 5, 4, 3, 2], 5),
]


def a_model(**shape):
    torch.manual_seed(0)
    return TransformerLM(preset("test", context_length=16, **shape)).double()


def test_rows_hold_whole_exchanges_each_once():
    batch = pack(EXAMPLES, 8, torch.device("cpu"))
    found = []
    for row in range(len(batch.ids)):
        for document in batch.document_ids[row].unique():
            inside = batch.document_ids[row] == document
            places = batch.positions[row][inside]
            assert places.tolist() == list(range(len(places)))
            if batch.response_mask[row][inside].any():
                ids, mask = batch.ids[row][inside].tolist(), batch.response_mask[row][inside]
                found.append(([*ids, batch.labels[row][inside][-1].item()], int(mask.int().argmax()) + 1))
                assert batch.labels[row][inside][:-1].tolist() == ids[1:]
    assert sorted(found) == sorted((example.token_ids, example.num_prompt_tokens) for example in EXAMPLES)
    assert batch.ids.shape[0] == 3  # 20 inputs


@pytest.mark.parametrize("shape", VARIANTS)
def test_loss_and_gradients_are_those_of_the_unpacked_batch(shape):
    model, found = a_model(**VARIANTS[shape]), []
    for compute in (
        lambda: packed_log_probs(model, pack(EXAMPLES, 16, model.device)),
        lambda: batch_log_probs(model, pad(EXAMPLES, model.device)),
    ):
        model.zero_grad()
        loss = -compute().sum()
        loss.backward()
        grads = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        found.append((loss.detach(), torch.cat(grads)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-5, rtol=1e-5)


def test_without_masks_or_restarted_positions_the_loss_is_another():
    model = a_model()
    batch = pack(EXAMPLES, 16, model.device)
    right = packed_log_probs(model, batch)
    blank = torch.zeros_like(batch.document_ids)
    for wrong in ({"document_ids": blank}, {"response_mask": torch.ones_like(batch.response_mask)}):
        changed = type(batch)(**{name: getattr(batch, name) for name in batch.__slots__} | wrong)
        assert not torch.allclose(packed_log_probs(model, changed), right, atol=1e-5)
    learned = a_model(position="learned")
    onward = torch.arange(16).expand_as(batch.positions)
    changed = type(batch)(**{name: getattr(batch, name) for name in batch.__slots__} | {"positions": onward})
    assert not torch.allclose(packed_log_probs(learned, changed), packed_log_probs(learned, batch), atol=1e-5)


def test_the_stage_packs_by_configuration():
    model = a_model()
    losses = [accumulate_sft_gradients(model, EXAMPLES, 3, packing) for packing in ("padded", "best_fit")]
    torch.testing.assert_close(*losses, atol=1e-5, rtol=0)


def test_an_exchange_longer_than_a_row_is_refused():
    with pytest.raises(InputError, match="7 inputs, expected at most 4"):
        pack(EXAMPLES, 4, torch.device("cpu"))


@pytest.fixture(scope="module")
def tokenizer(start):
    return Tokenizer.load(start / "tokenizer")


PAIRS = [("1 + 1?", "1 + 1 = 2\n#### 2"), ("2 + 1?", "#### 3"), ("3 + 3?", "3 + 3 = 6\n#### 6")]


@pytest.mark.parametrize("template", [LOAM, ALPACA])
@pytest.mark.parametrize("seq_length", [1, 7, 16])
def test_sequences_are_the_stream_cut_at_one_length(tokenizer, template, seq_length):
    data = PackedSFTDataset(tokenizer, PAIRS, seq_length, template=template)
    examples = [encode_example(tokenizer, *pair, template=template) for pair in PAIRS]
    stream = list(itertools.chain(*(example.token_ids for example in examples)))
    assert len(data) == (len(stream) - 1) // seq_length
    items = [data[index] for index in range(len(data))]
    assert torch.cat([item["input_ids"] for item in items]).tolist() == stream[: len(data) * seq_length]
    assert torch.cat([item["labels"] for item in items]).tolist() == stream[1 : len(data) * seq_length + 1]
    learned = [t >= e.num_prompt_tokens for e in examples for t in range(len(e.token_ids))]
    assert torch.cat([item["mask"] for item in items]).tolist() == learned[1 : len(data) * seq_length + 1]
    assert list(map(len, items[0].values())) == [seq_length] * 3
    with pytest.raises(IndexError):
        data[len(data)]


def test_a_loader_batches_them_and_a_seed_gives_their_order(tokenizer):
    loader = torch.utils.data.DataLoader(PackedSFTDataset(tokenizer, PAIRS, 8), batch_size=2)
    assert next(iter(loader))["input_ids"].shape == (2, 8)
    orders = [PackedSFTDataset(tokenizer, PAIRS * 5, 8, shuffle=True, seed=seed)._ids for seed in (0, 0, 1)]
    assert torch.equal(orders[0], orders[1]) and not torch.equal(orders[0], orders[2])
    with pytest.raises(InputError, match="expected more than seq_length = 1000"):
        PackedSFTDataset(tokenizer, PAIRS, 1000)
