"""Backends of attention: one result from all of them, and the choice of the fastest."""

import pytest
import torch

from lm.errors import ConfigurationError
from lm.kernels import attention_backends
from lm.kernels.attention_backends import AttentionShape, attend_by, causal_blocks, fastest
from lm.model import causal_mask, scaled_dot_product_attention

CPU = torch.device("cpu")
PLAIN = [("kernel", 0), ("flash", 0), ("flex", 0)]
SHAPE = AttentionShape(batch=2, heads=4, kv_heads=2, seq=256, d_head=16, dtype=torch.float32)


def tensors(seq=256):
    torch.manual_seed(0)
    return [torch.randn(2, seq, heads, 16).transpose(1, 2) for heads in (4, 2, 2)]


def expected(q, k, v, window=0):
    k, v = (part.repeat_interleave(2, dim=1) for part in (k, v))
    return scaled_dot_product_attention(q, k, v, causal_mask(q.shape[2], q.shape[2], window=window))


@pytest.mark.filterwarnings("ignore:[\\s\\S]*flex_attention called without torch.compile")
@pytest.mark.parametrize(("backend", "window"), [*PLAIN, ("kernel", 40), ("flex", 40)])
def test_every_backend_computes_the_formula(backend, window, monkeypatch):
    from torch.nn.attention.flex_attention import flex_attention

    monkeypatch.setattr(attention_backends, "_flex", lambda: flex_attention)
    q, k, v = tensors()
    blocks = causal_blocks(256, window, CPU) if backend == "flex" else None
    with torch.no_grad():
        found = attend_by(backend, q, k, v, window=window, blocks=blocks)
    torch.testing.assert_close(found, expected(q, k, v, window), rtol=1e-4, atol=1e-5)


def test_documents_and_windows_go_to_backends_that_have_them():
    q, k, v = tensors(8)
    segments = torch.zeros(2, 8, dtype=torch.long)
    for backend in ("flash", "cudnn", "flex"):
        with pytest.raises(ConfigurationError, match=f"attention backend {backend}: documents or a window"):
            attend_by(backend, q, k, v, segments=segments)
    with pytest.raises(ConfigurationError, match="attention backend flash"):
        attend_by("flash", q, k, v, window=3)
    assert AttentionShape(1, 1, 1, 64, 16, torch.bfloat16, documents=True).candidates() == ("kernel",)
    assert AttentionShape(1, 1, 1, 64, 16, torch.bfloat16, window=8).candidates() == ("kernel", "flex")
    assert "cudnn" in AttentionShape(1, 1, 1, 64, 16, torch.bfloat16, window=64).candidates()


def test_the_fastest_that_works_is_chosen_once_for_a_shape(monkeypatch, caplog):
    times = {"kernel": 3.0, "flash": 2.0, "flex": 1.0}
    calls = []

    def attend(backend, q, *_, **__):
        calls.append(backend)
        if backend not in times:
            raise RuntimeError("no such kernel on this GPU")
        return q * times[backend]

    monkeypatch.setattr(attention_backends, "attend_by", attend)
    monkeypatch.setattr(attention_backends, "_both", lambda forward, parts, slope: forward())
    monkeypatch.setattr(attention_backends, "causal_blocks", lambda *_: None)

    def measure(work):
        work()
        return times[calls[-1]]

    known = {}
    assert fastest(SHAPE, CPU, known, measure) == "flex" and set(calls) == {"kernel", "flash", "cudnn", "flex"}
    (line,) = caplog.messages
    assert line.startswith("attention backend cudnn: no such kernel on this GPU; left out")
    calls.clear()
    assert fastest(SHAPE, CPU, known, measure) == "flex" and not calls and len(known) == 1
    times.clear()
    assert fastest(AttentionShape(1, 1, 1, 8, 8, torch.float32), CPU, known, measure) == "kernel"
