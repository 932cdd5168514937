"""Samples that share the keys of their prompt compute what samples with a copy of it compute."""

import pytest
import torch

from lm.inference import engine
from lm.inference.engine import GenerationConfig, generate
from lm.inference.kv_cache import KVCache
from lm.inference.shared_prefix import SharedPrefixCache, can_share_prefixes
from lm.model import TransformerLM, preset
from tests.lm.inference.test_engine import PROMPTS, make_model
from tests.lm.model.variants import VARIANTS

LENGTHS = torch.tensor([5, 3, 7, 4])


def prompts_of(model, lengths, dtype=torch.float32):
    """The filled cache of random prompts, padded on the left."""
    longest = int(lengths.max())
    cache = KVCache(model.config, batch=len(lengths), capacity=32, padding=longest - lengths, dtype=dtype)
    ids = torch.randint(1, 128, (len(lengths), longest))
    model.hidden(ids, positions=cache.positions(longest), kv_cache=cache)
    return cache


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("owners", [[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3], [0, 0, 1, 3, 3, 3], [2]])
@torch.no_grad()
def test_logits_are_those_of_copied_prompts(kv_heads, owners, monkeypatch):
    monkeypatch.setattr("lm.inference.shared_prefix.GROWTH", 2)
    torch.manual_seed(0)
    model = TransformerLM(preset("test", num_kv_heads=kv_heads)).double()
    prompts, owners = prompts_of(model, LENGTHS, torch.float64), torch.tensor(owners)
    copied, shared = prompts.select(owners), SharedPrefixCache(prompts, owners, steps=12)
    for step in range(12):
        if step in (4, 7) and len(copied.positions(1)) > 2:
            rows = torch.arange(copied.batch)[1 :: 2 if step == 4 else 1]
            copied, shared = copied.select(rows), shared.select(rows)
        ids = torch.randint(1, 128, (copied.batch, 1))
        assert torch.equal(shared.positions(1), copied.positions(1))
        expected, found = (model(ids, positions=cache.positions(1), kv_cache=cache) for cache in (copied, shared))
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match=r"KV cache: \d+ positions, capacity 19"):
        model(ids, positions=shared.positions(1), kv_cache=shared)


@torch.no_grad()
def test_a_prompt_is_held_once_and_dropped_with_its_last_sample():
    model = TransformerLM(preset("test"))
    prompts = prompts_of(model, LENGTHS)
    shared = SharedPrefixCache(prompts, torch.arange(4).repeat_interleave(8), steps=4)
    assert [part.shape[0] for part in shared._keys] == [4, 4]
    assert [part.shape[0] for part in shared.select(torch.tensor([9, 10, 31]))._values] == [2, 2]


def test_generation_is_that_of_copied_prompts(monkeypatch):
    model, config = make_model({}), GenerationConfig(max_new_tokens=20)
    arguments = {"stop_ids": set(range(10)), "num_samples": 5, "seed": 2}
    assert can_share_prefixes(model)
    shared = generate(model, PROMPTS, config, **arguments)
    monkeypatch.setattr(engine, "can_share_prefixes", lambda model: False)
    copied = generate(model, PROMPTS, config, **arguments)
    for ours, theirs in zip(shared, copied, strict=True):
        assert [one.token_ids for one in ours] == [one.token_ids for one in theirs]
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(torch.tensor(one.log_probs), torch.tensor(other.log_probs), rtol=1e-5, atol=1e-5)
    assert len({len(one.token_ids) for group in shared for one in group}) > 3, "rows must end at different steps"


def test_short_prompts_share_a_batch_only_where_their_samples_share_them(monkeypatch):
    shapes, hidden = [], TransformerLM.hidden
    monkeypatch.setattr(
        TransformerLM, "hidden", lambda self, ids, **how: shapes.append(tuple(ids.shape)) or hidden(self, ids, **how)
    )
    monkeypatch.setattr(engine, "_SHORT", 12)
    prompts = [[1] * length for length in (13, 3, 12, 4)]
    for num_samples, expected in ((2, [(3, 12), (1, 13)]), (1, [(2, 4), (2, 13)])):
        generate(make_model({}), prompts, GenerationConfig(max_new_tokens=1), stop_ids=(), num_samples=num_samples)
        assert shapes == expected
        shapes.clear()


@pytest.mark.parametrize("name", ["window", "latent", "hybrid"])
def test_layers_that_keep_other_states_keep_the_other_cache(name):
    assert not can_share_prefixes(make_model(VARIANTS[name]))


def test_16_bits_keep_the_other_cache():
    model = make_model({})
    model.compute_type = torch.bfloat16
    assert not can_share_prefixes(model)
