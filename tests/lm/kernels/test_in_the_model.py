"""The model with the kernels switched on: the same losses and gradients as with the references."""

import pytest
import torch

from lm.kernels.backend import use_kernels
from lm.kernels.cross_entropy import linear_cross_entropy
from lm.model import TransformerLM, preset
from lm.training.optimizers import AdamW

SHAPES = {
    "documents": {"num_kv_heads": 2},
    "window and documents": {"layer_pattern": ["window", "full"], "window": 5, "qk_norm": True},
    "LayerNorm": {"norm": "layer", "position": "learned", "ffn": "gelu"},
    "half layout": {"rope_layout": "half", "tie_embeddings": True, "logit_soft_cap": 20.0},
}


def one_step(settings, backend, device, documents):
    """The loss, and the weights after a step of AdamW."""
    torch.manual_seed(0)
    model = TransformerLM(preset("test", **settings)).to(device)
    ids = torch.randint(model.config.vocab_size, (2, 25), device=device)
    with use_kernels(backend):
        hidden = model.hidden(ids[:, :-1], document_ids=documents).flatten(0, 1)
        cap = model.config.logit_soft_cap
        loss = linear_cross_entropy(hidden, model.lm_head.weight, ids[:, 1:].flatten(), soft_cap=cap)
        loss.backward()
        gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}
        AdamW(model.parameters(), lr=1e-2).step()
    return loss, gradients, dict(model.named_parameters())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("settings", SHAPES.values(), ids=SHAPES)
def test_kernels_train_like_their_references(device, settings, packed):
    documents = torch.tensor([[0] * 7 + [1] * 17, [4] * 24], device=device) if packed else None
    found, expected = (one_step(settings, backend, device, documents) for backend in ("triton", "reference"))
    torch.testing.assert_close(found[0], expected[0])
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-3, atol=1e-4)
    # AdamW's first step is the sign of the gradient: where the gradient is near 0 the sign is noise.
    moved = [(found[2][name] - weight).abs().mean() for name, weight in expected[2].items()]
    assert max(moved) < 1e-4


def test_no_dense_mask_is_made_for_documents_or_windows(device, monkeypatch):
    from lm.model import attention, transformer

    def refuse(*_, **__):
        raise AssertionError("a dense mask")

    monkeypatch.setattr(attention, "causal_mask", refuse)
    monkeypatch.setattr(transformer, "attention_mask", refuse)
    model = TransformerLM(preset("test", layer_pattern=["window", "full"], window=5)).to(device)
    ids = torch.randint(model.config.vocab_size, (2, 24), device=device)
    model(ids, document_ids=torch.zeros_like(ids))
