import math

import pytest
import torch
from torch.nn import functional as F

from lm.errors import ConfigurationError
from lm.model import TransformerLM, preset


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


class GrowingCache:
    """The plainest key-value cache: concatenation."""

    def __init__(self):
        self.held, self.states, self.length = {}, {}, 0

    def mask(self, num_queries):
        return None

    def update(self, layer_index, k, v):
        if layer_index in self.held:
            k, v = (torch.cat(pair, dim=2) for pair in zip(self.held[layer_index], (k, v), strict=True))
        self.held[layer_index] = (k, v)
        return k, v

    def advance(self, num_tokens):
        self.length += num_tokens


def test_state_names():
    names = set(TransformerLM(preset("test")).state_dict())
    layer = {f"attn.{name}_proj" for name in ("q", "k", "v", "output")} | {"ln1", "ln2", "ffn.w1", "ffn.w2", "ffn.w3"}
    assert names == {
        f"{name}.weight"
        for name in (
            "token_embeddings",
            "ln_final",
            "lm_head",
            *(f"layers.{i}.{part}" for i in (0, 1) for part in layer),
        )
    }


@pytest.mark.parametrize("tied", [False, True])
def test_first_loss_is_that_of_guessing(tied):
    config = preset("tiny_cpu", tie_embeddings=tied)
    ids = torch.randint(config.vocab_size, (4, 65))
    with torch.no_grad():
        logits = TransformerLM(config)(ids[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(config.vocab_size), rel=0.02)


@pytest.mark.parametrize("layout", ["interleaved", "half"])
@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
def test_fused_and_reference_attention_agree(layout, num_kv_heads):
    fused = TransformerLM(preset("test", num_kv_heads=num_kv_heads, rope_layout=layout))
    reference = TransformerLM(preset("test", num_kv_heads=num_kv_heads, rope_layout=layout, attention="reference"))
    reference.load_state_dict(fused.state_dict())
    ids = torch.randint(128, (3, 32))
    documents = torch.arange(32).div(10, rounding_mode="floor").expand(3, 32)
    for arguments in ({}, {"document_ids": documents}):
        torch.testing.assert_close(fused(ids, **arguments), reference(ids, **arguments), rtol=1e-4, atol=1e-5)


def test_no_token_sees_the_future():
    model = TransformerLM(preset("test"))
    ids = torch.randint(128, (1, 32))
    changed = ids.clone()
    changed[0, 20:] = (changed[0, 20:] + 1) % 128
    torch.testing.assert_close(model(ids)[:, :20], model(changed)[:, :20])
    assert not torch.allclose(model(ids)[:, 20:], model(changed)[:, 20:])


def test_no_token_sees_another_document():
    model = TransformerLM(preset("test"))
    ids = torch.randint(128, (1, 24))
    documents = torch.tensor([[0] * 10 + [1] * 14])
    packed = model(ids, document_ids=documents)
    torch.testing.assert_close(packed[:, :10], model(ids[:, :10]), rtol=1e-4, atol=1e-5)
    # RoPE knows only distances, so the second document alone gives the same logits at other positions.
    torch.testing.assert_close(packed[:, 10:], model(ids[:, 10:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", ["fused", "reference"])
@pytest.mark.parametrize("pieces", [[32], [1] * 32, [5, 1, 10, 16]])
def test_a_cache_changes_nothing(attention, pieces):
    model = TransformerLM(preset("test", attention=attention))
    ids = torch.randint(128, (2, 32))
    cache = GrowingCache()
    with torch.no_grad():
        logits = torch.cat([model(piece, kv_cache=cache) for piece in ids.split(pieces, dim=1)], dim=1)
        torch.testing.assert_close(logits, model(ids), rtol=1e-4, atol=1e-5)


def test_too_many_tokens_are_refused():
    model = TransformerLM(preset("test"))
    with pytest.raises(ConfigurationError, match="33 tokens, more than the model's context_length = 32"):
        model(torch.zeros(1, 33, dtype=torch.long))


@pytest.mark.parametrize("position", ["rope", "none", "learned", "sinusoidal"])
def test_positions_are_one_for_every_token(position):
    model, ids = TransformerLM(preset("test", position=position)), torch.zeros(2, 4, dtype=torch.long)
    for shape in ((1,), (2, 1), (3, 4), (4, 1)):
        with pytest.raises(ConfigurationError, match=r"of ids \[2, 4\], expected"):
            model(ids, positions=torch.zeros(shape, dtype=torch.long))
    own = model(ids)
    for positions in (torch.arange(4), torch.arange(4)[None], torch.arange(4).expand(2, 4)):
        torch.testing.assert_close(model(ids, positions=positions), own)


@pytest.mark.parametrize("num_layers", [4, 24])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("switches", [{}, {"ffn": "relu2"}, {"num_experts": 4}, {"layer_pattern": ("ssm", "full")}])
def test_without_norms_the_first_loss_is_that_of_guessing_too(num_layers, tied, switches):
    torch.manual_seed(0)
    config = preset("tiny_cpu", tie_embeddings=tied, norm_placement="none", num_layers=num_layers, **switches)
    ids = torch.randint(config.vocab_size, (2, 65))
    with torch.no_grad():
        loss = F.cross_entropy(TransformerLM(config)(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(config.vocab_size), rel=0.02)


def test_tied_embeddings_are_one_matrix():
    model = TransformerLM(preset("test", tie_embeddings=True))
    assert model.lm_head.weight is model.token_embeddings.weight
    untied = TransformerLM(preset("test"))
    assert untied.num_parameters - model.num_parameters == 128 * 32
