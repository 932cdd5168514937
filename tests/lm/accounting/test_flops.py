import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from lm.accounting import count_parameters
from lm.accounting.flops import (
    decode_flops,
    forward_flops,
    forward_flops_per_token,
    prefill_flops,
    six_n_d,
    training_flops,
    training_flops_per_token,
)
from lm.inference.kv_cache import KVCache
from lm.model import ModelConfig, TransformerLM, preset
from lm.training.recomputation import recompute
from tests.lm.model.variants import VARIANTS

every_variant = pytest.mark.parametrize("switches", VARIANTS.values(), ids=VARIANTS)
XL = ModelConfig(vocab_size=50_257, context_length=1_024, d_model=1_600, num_layers=48, num_heads=25, d_ff=6_400)


def counted(work):
    with FlopCounterMode(display=False) as mode:
        result = work()
    return result, mode.get_total_flops()


def whole_square(config):
    """The same model with windows that end nothing: a written-out mask is computed whole."""
    return dataclasses.replace(config, window=config.context_length) if config.window else config


@pytest.mark.parametrize("seq", [32, 65, 128])
@every_variant
def test_every_phase_is_torchs_count(switches, seq):
    config = preset("test", attention="reference", context_length=160, **switches)
    model, ids, square = TransformerLM(config), torch.zeros(2, seq, dtype=torch.long), whole_square(config)
    loss, forward = counted(lambda: model(ids).sum())
    _, backward = counted(loss.backward)
    assert forward == 2 * forward_flops(square, seq, convention="square").total
    assert forward + backward == 2 * training_flops(square, seq, convention="square").total
    with torch.no_grad():
        cache = KVCache(config, batch=2, capacity=160)
        _, prefill = counted(lambda: model.logits(model.hidden(ids, kv_cache=cache)[:, -1:]))
        _, decode = counted(lambda: model(ids[:, :1], kv_cache=cache))
    assert prefill == 2 * prefill_flops(square, seq, convention="square").total
    assert decode == 2 * decode_flops(square, seq, convention="square").total


@pytest.mark.parametrize("strategy", ["blocks", "selective"])
@every_variant
def test_recomputed_layers_are_torchs_count(switches, strategy):
    config = preset("test", attention="reference", **switches)
    model, ids = TransformerLM(config), torch.zeros(2, 32, dtype=torch.long)
    recompute(model.layers, strategy)
    _, found = counted(lambda: model(ids).sum().backward())
    assert found == 2 * training_flops(whole_square(config), convention="square", recompute=strategy).total


def test_components_are_those_of_their_modules():
    config = preset("test", attention="reference")
    model, ids = TransformerLM(config), torch.zeros(1, 32, dtype=torch.long)
    with FlopCounterMode(display=False, depth=4) as mode:
        model(ids)
    by_module = {name: sum(counts.values()) for name, counts in mode.get_flop_counts().items()}
    count = forward_flops(config, convention="square")
    inside = "TransformerLM.layers."
    found = {
        part: sum(v for k, v in by_module.items() if k.startswith(inside) and k.endswith(part))
        for part in (".attn", ".ffn")
    }
    assert found[".attn"] == count.projections + count.attention
    assert found[".ffn"] == count.feed_forward
    assert by_module["TransformerLM.lm_head"] == count.head
    assert sum(count.shares().values()) == pytest.approx(1.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 40), st.integers(1, 50))
def test_attended_keys_are_counted_one_by_one(num_queries, cached, window):
    config = preset("test", context_length=128, layer_pattern=("window", "full"), window=window)
    a_pair = 4 * config.num_heads * config.d_head
    pairs = sum(min(cached + i, window) + cached + i for i in range(1, num_queries + 1))
    prompt = prefill_flops(config, num_queries).attention
    alone = sum(min(i, window) + i for i in range(1, num_queries + 1))
    assert prompt == a_pair * alone
    later = sum(decode_flops(config, cached + i).attention for i in range(num_queries))
    assert later == a_pair * pairs


def test_the_square_is_near_twice_the_causal_half():
    half, square = (forward_flops(XL, 16_384, convention=name) for name in ("causal", "square"))
    assert square.attention / half.attention == pytest.approx(2, rel=1e-3)
    assert dataclasses.replace(square, attention=half.attention) == half


def test_known_answer_gpt2_xl_with_three_matrices():
    count = forward_flops(XL, convention="square")
    assert count_parameters(XL).total == 2_127_057_600
    assert count.total == pytest.approx(4.5133e12, rel=1e-4)
    shares = {"feed_forward": 0.669, "projections": 0.223, "attention": 0.071, "head": 0.0365, "state_space": 0}
    assert count.shares() == pytest.approx(shares, abs=5e-4)
    assert forward_flops(XL, 16_384, convention="square").total == pytest.approx(1.4952e14, rel=1e-4)
    narrow = dataclasses.replace(XL, d_ff=4_288)
    assert count_parameters(narrow).total == 1_640_452_800
    assert forward_flops(narrow, convention="square").total == pytest.approx(3.5168e12, rel=1e-4)


def test_six_n_d_is_near_the_exact_count_of_a_large_model():
    estimate = six_n_d(count_parameters(XL).total, 1)
    assert estimate / training_flops_per_token(XL, convention="square") == pytest.approx(0.965, abs=0.01)
    assert forward_flops_per_token(XL) == forward_flops(XL).total / XL.context_length


def test_a_shorter_chunk_costs_less_inside():
    long, short = (preset("test", layer_pattern=("ssm",), context_length=128, chunk_length=size) for size in (64, 16))
    assert forward_flops(short).state_space < forward_flops(long).state_space
