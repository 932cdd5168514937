"""The padded vocabulary: the same logits and gradients, and no token of the padding."""

import pytest
import torch

from lm.inference import GenerationConfig, generate
from lm.kernels.padding import ALIGNMENT, padded_logits, padded_rows, padded_size
from lm.model import TransformerLM, preset, transformer


@pytest.mark.parametrize("vocab", [1, 127, 128, 130, 50_257])
def test_padding_has_zeros_and_leaves_no_trace_in_the_logits(vocab):
    assert padded_size(vocab) % 128 == 0 and 0 <= padded_size(vocab) - vocab < 128
    weight = torch.randn(vocab, 8, requires_grad=True)
    rows = padded_rows(weight, torch.float32)
    assert len(rows) == padded_size(vocab) and not rows[vocab:].any() and torch.equal(rows[:vocab], weight)
    hidden = torch.randn(3, 8)
    logits = padded_logits(hidden, weight)
    torch.testing.assert_close(logits, hidden @ weight.T)
    assert logits.stride(0) % ALIGNMENT == 0
    assert torch.autograd.grad(logits.sum(), weight)[0].shape == weight.shape


def test_padding_is_in_no_state_and_is_never_drawn(monkeypatch):
    monkeypatch.setattr(transformer, "takes_gpu_path", lambda x: True)
    torch.manual_seed(0)
    model = TransformerLM(preset("test", vocab_size=5))
    for weight in (model.token_embeddings.weight, model.lm_head.weight):
        assert len(weight) == 5
    with torch.no_grad():
        model.lm_head.weight.sub_(model.lm_head.weight.mean(0))
        assert model(torch.zeros(1, 3, dtype=torch.long)).shape[-1] == 5
    hot = GenerationConfig(max_new_tokens=20, temperature=50.0)
    drawn = generate(model, [[0, 1]], hot, stop_ids=(), num_samples=40)[0]
    assert {token for one in drawn for token in one.token_ids} == set(range(5))
