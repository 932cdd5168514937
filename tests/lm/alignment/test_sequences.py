"""Padded batches give each example's own numbers."""

import pytest
import torch

pytest.importorskip("lm.tokenizer")

import itertools
from itertools import islice

from lm.alignment.sequences import batch_log_probs, pad, shuffled_batches
from lm.chat.template import ChatExample
from lm.errors import InputError
from lm.model import TransformerLM, preset

EXAMPLES = [ChatExample([3, 4, 5, 6, 7], 3), ChatExample([9, 8], 1), ChatExample([1, 2, 3, 4, 5, 6, 7, 8], 2)]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return TransformerLM(preset("test")).eval()


def plain_log_probs(model, example, temperature):
    """One example alone, every logit computed, no padding."""
    ids = torch.tensor([example.token_ids])
    log_probs = torch.log_softmax(model(ids)[0] / temperature, dim=-1)
    return [
        log_probs[place - 1, example.token_ids[place]]
        for place in range(example.num_prompt_tokens, len(example.token_ids))
    ]


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_padding_changes_nothing(model, temperature):
    batch = pad(EXAMPLES, torch.device("cpu"))
    log_probs = batch_log_probs(model, batch, temperature)
    assert log_probs[~batch.response_mask].eq(0).all()
    for row, example in enumerate(EXAMPLES):
        wanted = torch.stack(plain_log_probs(model, example, temperature))
        assert example.num_response_tokens == len(wanted)
        torch.testing.assert_close(log_probs[row][batch.response_mask[row]], wanted, atol=1e-5, rtol=1e-5)


def test_the_loss_reaches_only_response_tokens(model):
    """Another target inside the prompt changes no target's log-probability before it; the mask leaves prompts out."""
    batch = pad(EXAMPLES, torch.device("cpu"))
    assert batch.response_mask.int().tolist() == [
        [0, 0, 1, 1, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 1, 1, 1],
    ]
    assert batch.lengths().tolist() == [4, 1, 7]


def test_a_part_of_a_batch_is_cut_to_its_longest_row(model):
    batch = pad(EXAMPLES, torch.device("cpu"))
    rows = torch.tensor([1, 0])
    part = batch.select(rows)
    assert part.ids.shape == (2, 5)
    torch.testing.assert_close(
        batch_log_probs(model, part), batch_log_probs(model, batch)[rows, :4], atol=1e-5, rtol=1e-5
    )


def test_every_epoch_takes_every_item_once():
    batches = list(islice(shuffled_batches(10, 4, seed=0), 5))
    flat = [i for batch in batches for i in batch]
    assert sorted(flat[:10]) == sorted(flat[10:]) == list(range(10))
    assert flat[:10] != flat[10:]
    assert batches == list(islice(shuffled_batches(10, 4, seed=0), 5))
    assert batches != list(islice(shuffled_batches(10, 4, seed=1), 5))


def test_no_examples_are_refused_and_none_is_left_out():
    with pytest.raises(InputError, match="no examples to draw batches from"):
        next(shuffled_batches(0, 4, seed=0))
    drawn = itertools.islice(shuffled_batches(3, 7, seed=2**63 - 1), 3)
    assert sorted(itertools.chain(*drawn)) == [i for i in range(3) for _ in range(7)]
