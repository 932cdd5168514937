"""The choice of attention for a run: put on its layers, kept in the cache, and no graph break."""

import json

import pytest
import torch

from lm.kernels.attention_backends import causal_blocks
from lm.model import TransformerLM, preset
from lm.training import attention_choice
from lm.training.attention_choice import CHOICES, choose_attention


@pytest.fixture
def on_gpu(monkeypatch, tmp_path):
    """Choices as on a GPU, among which `flash` is always the fastest."""
    monkeypatch.setenv("LOAM_CACHE", str(tmp_path))
    monkeypatch.setattr(attention_choice, "takes_gpu_path", lambda weight: True)
    monkeypatch.setattr(attention_choice, "kernel_attends", lambda weight, d_head: True)

    def fastest(shape, device, known):
        return known.setdefault(str(shape), "kernel" if shape.window else "flash")

    monkeypatch.setattr(attention_choice, "fastest", fastest)
    return tmp_path


def test_layers_take_their_choice_and_compute_the_same(on_gpu):
    torch.manual_seed(0)
    model = TransformerLM(preset("test", layer_pattern=("window", "full"), window=8))
    ids = torch.randint(128, (2, 32))
    before = model(ids)
    assert choose_attention(model, batch=2, documents=False) == {0: "kernel", 1: "flash"}
    torch.testing.assert_close(model(ids), before)
    documents = torch.arange(32).div(9, rounding_mode="floor").expand(2, 32)
    assert model(ids, document_ids=documents).isfinite().all()
    assert len(json.loads((on_gpu / CHOICES).read_text())) == 2
    assert choose_attention(model, batch=2, documents=False, deterministic=True) == {0: "kernel", 1: "kernel"}


def test_a_file_that_is_no_choice_is_made_anew(on_gpu):
    (on_gpu / CHOICES).write_text("{")
    assert choose_attention(TransformerLM(preset("test")), batch=1, documents=False) == {0: "flash", 1: "flash"}
    assert json.loads((on_gpu / CHOICES).read_text())


def test_nothing_is_chosen_on_a_cpu_or_for_attention_written_out(on_gpu, monkeypatch):
    assert choose_attention(TransformerLM(preset("test", attention="reference")), batch=1, documents=False) == {}
    monkeypatch.setattr(attention_choice, "takes_gpu_path", lambda weight: False)
    assert choose_attention(TransformerLM(preset("test")), batch=1, documents=False) == {}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("backend", ["flash", "flex"])
def test_a_chosen_backend_breaks_no_graph(backend):
    model = TransformerLM(preset("test", num_layers=1))
    attention = model.layers[0].attn
    attention.backend, attention.blocks = backend, causal_blocks(32, 0, torch.device("cpu"))
    torch._dynamo.reset()
    with torch.set_grad_enabled(backend != "flex"):  # which has no backward on a CPU
        explained = torch._dynamo.explain(model.forward)(torch.randint(128, (2, 32)))
    assert explained.graph_break_count == 0, explained.break_reasons
