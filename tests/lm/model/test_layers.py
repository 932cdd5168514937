"""Each layer against torch's own, or against its formula in another form."""

import math

import pytest
import torch
from torch.nn import functional as F

from lm.model import Embedding, Linear, RMSNorm, RotaryEmbedding, SwiGLU, scaled_dot_product_attention, silu, softmax
from lm.model.norm import rms_norm_reference


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_linear_and_embedding_equal_torchs():
    linear, x = Linear(7, 5), torch.randn(2, 3, 7)
    torch.testing.assert_close(linear(x), x @ linear.weight.T)
    embedding, ids = Embedding(11, 4), torch.tensor([[3, 0], [10, 3]])
    torch.testing.assert_close(embedding(ids), embedding.weight[ids], rtol=0, atol=0)


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


def test_silu_and_swiglu_equal_torchs():
    x = torch.randn(4, 8) * 10
    torch.testing.assert_close(silu(x), F.silu(x))
    ffn = SwiGLU(8, 24)
    expected = (F.silu(x @ ffn.w1.weight.T) * (x @ ffn.w3.weight.T)) @ ffn.w2.weight.T
    torch.testing.assert_close(ffn(x), expected)


def test_softmax_stands_large_numbers():
    x = torch.tensor([[1e3, 1e3 + 1, -1e3]])
    torch.testing.assert_close(softmax(x), torch.softmax(x, dim=-1))
    assert softmax(x).isfinite().all()


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
