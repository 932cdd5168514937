"""Each layer against torch's own, or against its formula in another form."""

import math

import pytest
import torch
from torch.nn import functional as F

from lm.errors import ConfigurationError
from lm.inference.kv_cache import KVCache
from lm.model import (
    CausalSelfAttention,
    Context,
    Embedding,
    GeGLU,
    LayerNorm,
    Linear,
    PlainMLP,
    RMSNorm,
    RotaryEmbedding,
    SwiGLU,
    TransformerBlock,
    TransformerLM,
    causal_mask,
    preset,
    scaled_dot_product_attention,
    silu,
    softmax,
)
from lm.model.context import document_mask, windowed
from lm.model.latent_attention import LatentAttention
from lm.model.norm import layer_norm_reference, rms_norm_reference
from lm.model.positions import SinusoidalEmbedding


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_linear_and_embedding_equal_torchs():
    linear, x = Linear(7, 5), torch.randn(2, 3, 7)
    torch.testing.assert_close(linear(x), x @ linear.weight.T)
    embedding, ids = Embedding(11, 4), torch.tensor([[3, 0], [10, 3]])
    torch.testing.assert_close(embedding(ids), embedding.weight[ids], rtol=0, atol=0)
    biased = Linear(7, 5, bias=True)
    torch.nn.init.normal_(biased.bias)
    torch.testing.assert_close(biased(x), F.linear(x, biased.weight, biased.bias))


def test_initial_weights_have_the_stated_spread_and_no_tails():
    weight = Linear(300, 500).weight
    std = math.sqrt(2 / 800)
    assert weight.abs().max() <= 3 * std
    # Cutting at 3 deviations takes 1.3% off the deviation.
    assert weight.std().item() == pytest.approx(std * 0.9866, rel=0.01)


def test_rms_norm_equals_its_formula_and_works_in_float32():
    norm, x = RMSNorm(16), torch.randn(3, 16)
    torch.nn.init.normal_(norm.weight)
    torch.testing.assert_close(norm(x), rms_norm_reference(x, norm.weight))
    # Squares of 1e3 overflow float16; the mean must be taken in float32.
    large = torch.full((2, 16), 1e3, dtype=torch.float16)
    assert norm(large).dtype == torch.float16
    torch.testing.assert_close(norm(large).float(), norm.weight.expand(2, 16), rtol=2e-3, atol=2e-3)


def test_layer_norm_equals_torchs_and_its_formula():
    norm, theirs, x = LayerNorm(16), torch.nn.LayerNorm(16), torch.randn(3, 16) * 5 + 2
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    theirs.load_state_dict(norm.state_dict())
    torch.testing.assert_close(norm(x), theirs(x))
    torch.testing.assert_close(norm(x), layer_norm_reference(x, norm.weight, norm.bias))
    assert norm(x.half()).dtype == torch.float16


@pytest.mark.parametrize(
    ("ffn", "theirs"),
    [("relu2", lambda x: F.relu(x) ** 2), ("silu", F.silu), ("gelu", lambda x: F.gelu(x, approximate="tanh"))],
)
@pytest.mark.parametrize("bias", [False, True])
def test_plain_layers_are_two_matrices_and_a_bend(ffn, theirs, bias):
    mlp, x = PlainMLP(8, 24, ffn, bias), torch.randn(4, 8)
    for parameter in mlp.parameters():
        torch.nn.init.normal_(parameter)
    expected = F.linear(theirs(F.linear(x, mlp.w1.weight, mlp.w1.bias)), mlp.w2.weight, mlp.w2.bias)
    torch.testing.assert_close(mlp(x), expected)


def test_geglu_is_gated_by_gelu():
    ffn, x = GeGLU(8, 24), torch.randn(4, 8)
    torch.testing.assert_close(ffn(x), (F.gelu(x @ ffn.w1.weight.T) * (x @ ffn.w3.weight.T)) @ ffn.w2.weight.T)


def test_sinusoidal_positions_are_those_of_the_paper():
    table = SinusoidalEmbedding(50, 6, scale=2.0)(torch.tensor([0, 7, 49]))
    for row, position in enumerate((0, 7, 49)):
        for k in range(3):
            angle = position / 10_000 ** (2 * k / 6)
            assert table[row, 2 * k].item() == pytest.approx(2 * math.sin(angle), abs=1e-6)
            assert table[row, 2 * k + 1].item() == pytest.approx(2 * math.cos(angle), abs=1e-6)


def test_silu_and_swiglu_equal_torchs():
    x = torch.randn(4, 8) * 10
    torch.testing.assert_close(silu(x), F.silu(x))
    ffn = SwiGLU(8, 24)
    expected = (F.silu(x @ ffn.w1.weight.T) * (x @ ffn.w3.weight.T)) @ ffn.w2.weight.T
    torch.testing.assert_close(ffn(x), expected)


def test_softmax_stands_large_numbers():
    x = torch.randn(4, 9) * 1_000
    torch.testing.assert_close(softmax(x), torch.softmax(x, dim=-1))
    torch.testing.assert_close(softmax(x, dim=0), torch.softmax(x, dim=0))
    assert softmax(x).isfinite().all()


def test_self_attention_equals_torchs_multihead_attention():
    ours, theirs = CausalSelfAttention(32, 4, bias=True), torch.nn.MultiheadAttention(32, 4, batch_first=True)
    for bias in (ours.q_proj.bias, ours.k_proj.bias, ours.v_proj.bias):
        torch.nn.init.normal_(bias)
    projections = (ours.q_proj, ours.k_proj, ours.v_proj)
    joined = {kind: torch.cat([getattr(p, kind) for p in projections]) for kind in ("weight", "bias")}
    theirs.load_state_dict(
        {
            "in_proj_weight": joined["weight"],
            "in_proj_bias": joined["bias"],
            "out_proj.weight": ours.output_proj.weight,
            "out_proj.bias": ours.output_proj.bias,
        }
    )
    x = torch.randn(2, 9, 32)
    expected, _ = theirs(x, x, x, attn_mask=~causal_mask(9, 9), need_weights=False)
    torch.testing.assert_close(ours(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fused", [True, False])
def test_a_window_hides_what_lies_further_back(fused):
    attention = CausalSelfAttention(16, 2, window=3, fused=fused)
    x, changed = torch.randn(1, 10, 16), None
    changed = x.clone()
    changed[:, 4] += 1
    moved = (attention(x) - attention(changed)).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.tolist() == [False] * 4 + [True] * 3 + [False] * 3


def test_a_window_counts_the_keys_that_a_query_may_see():
    mask = torch.tensor([[True, False, True, True, False], [True, True, False, True, True]])
    assert windowed(mask, 2).tolist() == [[False, False, True, True, False], [False, False, False, True, True]]
    assert torch.equal(windowed(causal_mask(5, 8), 3), causal_mask(5, 8, window=3))


def without_rope(attention):
    twin = CausalSelfAttention(32, 4, 2)
    twin.load_state_dict(attention.state_dict())
    return twin


def test_layers_work_alone():
    x = torch.randn(2, 9, 32)
    rope = RotaryEmbedding(8, 16)
    attention = CausalSelfAttention(32, 4, 2, rope=rope)
    torch.testing.assert_close(attention(x), attention(x, Context(rotation=rope.at(torch.arange(9)))))
    torch.testing.assert_close(attention(x), attention(x, Context(mask=causal_mask(9, 9)[None, None])))
    assert not torch.allclose(attention(x), CausalSelfAttention.forward(without_rope(attention), x))
    config = preset("test")
    block, model = TransformerBlock(config), TransformerLM(config)
    model.layers[0].load_state_dict(block.state_dict())
    ids = torch.randint(128, (2, 9))
    seen = []
    model.layers[0].register_forward_hook(lambda module, inputs, output: seen.append((inputs[0], output)))
    model(ids)
    torch.testing.assert_close(block(seen[0][0]), seen[0][1])
    with pytest.raises(ConfigurationError, match="expected num_kv_heads to divide num_heads"):
        CausalSelfAttention(32, 4, 3)
    with pytest.raises(ConfigurationError, match="rope for a d_head of 4, expected 8"):
        CausalSelfAttention(32, 4, rope=RotaryEmbedding(4, 16))
    with pytest.raises(ConfigurationError, match="d_head 7, expected an even number"):
        RotaryEmbedding(7, 16)
    for layer in (attention, block):
        with pytest.raises(ConfigurationError, match="more than RoPE's context_length"):
            layer(torch.randn(1, 33, 32))


def test_attention_alone_goes_on_where_its_cache_ends():
    x, rope = torch.randn(1, 9, 32), RotaryEmbedding(8, 16)
    attention = CausalSelfAttention(32, 4, 2, rope=rope)
    cache = KVCache(preset("test", num_layers=1), batch=1, capacity=16)
    parts = []
    for part in x.split([4, 1, 4], dim=1):
        parts.append(attention(part, Context(kv_cache=cache)))
        cache.advance(part.shape[1])
    torch.testing.assert_close(torch.cat(parts, dim=1), attention(x))


def test_ropes_tables_stay_in_float32_where_a_model_is_cast():
    model = TransformerLM(preset("test"))
    before = model.rope.cos.clone()
    model.bfloat16()
    assert model.lm_head.weight.dtype == torch.bfloat16 and torch.equal(model.rope.cos, before)


def test_attention_equals_torchs_with_and_without_a_mask():
    q, k, v = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 7, 8), torch.randn(2, 3, 7, 8)
    mask = torch.rand(2, 1, 5, 7) < 0.5
    mask[..., 0] = True
    torch.testing.assert_close(scaled_dot_product_attention(q, k, v), F.scaled_dot_product_attention(q, k, v))
    torch.testing.assert_close(
        scaled_dot_product_attention(q, k, v, mask), F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    )


def test_rope_is_a_complex_rotation():
    rope, x = RotaryEmbedding(8, 32, theta=100.0), torch.randn(1, 1, 5, 8)
    positions = torch.tensor([0, 3, 7, 8, 31])
    angles = torch.outer(positions.double(), 100.0 ** (-torch.arange(0, 8, 2).double() / 8))
    turned = torch.view_as_complex(x.double().unflatten(-1, (4, 2))) * torch.polar(torch.ones_like(angles), angles)
    torch.testing.assert_close(rope(x, positions), torch.view_as_real(turned).flatten(-2).float())


def test_rope_layouts_are_one_rotation_of_reordered_coordinates():
    x, positions = torch.randn(2, 3, 6, 8), torch.arange(6)
    interleaved, half = RotaryEmbedding(8, 16), RotaryEmbedding(8, 16, layout="half")
    order = torch.tensor([0, 2, 4, 6, 1, 3, 5, 7])
    torch.testing.assert_close(interleaved(x, positions)[..., order], half(x[..., order], positions))


def test_rope_products_depend_on_the_distance_alone():
    rope = RotaryEmbedding(16, 64)
    q, k = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)

    def product(i, j):
        return (rope(q, torch.tensor([i])) * rope(k, torch.tensor([j]))).sum()

    torch.testing.assert_close(product(5, 2), product(60, 57), rtol=1e-4, atol=1e-5)


def test_residual_projections_start_scaled_where_the_original_does():
    def spread(name, **changes):
        torch.manual_seed(0)
        shape = {"d_model": 256, "num_layers": 8, "num_heads": 8, "vocab_size": 64, "context_length": 16}
        layer = TransformerLM(preset(name, **{**shape, **changes})).layers[3]
        projections = {part: weight.std().item() for part, weight in layer.named_parameters() if weight.ndim == 2}
        return {
            part: value for part, value in projections.items() if part in ("attn.output_proj.weight", "ffn.w2.weight")
        }

    plain, scaled = spread("gpt2_124m", scaled_residuals=False), spread("gpt2_124m")
    assert plain.keys() == {"attn.output_proj.weight", "ffn.w2.weight"}
    for part in plain:
        assert scaled[part] == pytest.approx(plain[part] / 4, rel=1e-6)  # sqrt(2 * 8)
    assert spread("llama_1b", num_kv_heads=8, d_ff=64) == spread(
        "llama_1b", num_kv_heads=8, d_ff=64, scaled_residuals=False
    )


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("window", [2, 3, 50])
def test_a_window_layer_heeds_the_contexts_mask(fused, window):
    """Documents apart: a window reaches into none of them but the token's own, whoever cuts the window out."""
    attention = CausalSelfAttention(16, 2, window=window, fused=fused)
    x, documents = torch.randn(2, 9, 16), torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 2], [0, 1, 1, 1, 1, 1, 1, 1, 1]])
    mask = document_mask(documents)
    expected = attention(x, Context(mask=mask, window_mask=windowed(mask, window)))
    torch.testing.assert_close(attention(x, Context(mask=mask)), expected)
    alone = torch.cat([attention(x[:1, 3:7]), attention(x[:1, 7:])], dim=1)
    torch.testing.assert_close(expected[:1, 3:], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("window", [2, 4])
def test_a_latent_window_layer_heeds_the_contexts_mask(window):
    shape = preset("test", latent_rank=8, d_rope=4, num_kv_heads=4, layer_pattern=("window",), window=window)
    attention = LatentAttention(shape, 0)
    x, mask = torch.randn(1, 6, 32), document_mask(torch.tensor([[0, 0, 1, 1, 1, 1]]))
    expected = attention(x, Context(mask=mask, window_mask=windowed(mask, window)))
    torch.testing.assert_close(attention(x, Context(mask=mask)), expected)
    torch.testing.assert_close(expected[:, 2:], attention(x[:, 2:]), rtol=1e-4, atol=1e-5)
