"""The shapes in the signatures hold: a child process runs model, loss and backward with every annotation checked."""

import subprocess
import sys

import pytest

CHECKED = """
from jaxtyping import install_import_hook

checked = ("lm.model", "lm.kernels", "lm.inference.kv_cache", "lm.training.loss", "lm.training.muon")
with install_import_hook(checked, "beartype.beartype"):
    from lm.inference.kv_cache import KVCache
    from lm.kernels.cross_entropy import linear_cross_entropy
    from lm.model import TransformerLM, preset
    from lm.training.loss import cross_entropy
    from lm.training.muon import orthogonalize

import torch

torch.set_num_threads(1)
from tests.lm.model.variants import VARIANTS

for switches in ({"attention": "reference"}, *VARIANTS.values()):
    model = TransformerLM(preset("test", **switches))
    ids = torch.randint(128, (2, 17))
    documents = torch.zeros(2, 16, dtype=torch.long)
    logits = model(ids[:, :-1], document_ids=documents, positions=torch.arange(16))
    cross_entropy(logits, ids[:, 1:], documents == 0).backward()
    hidden = model.hidden(ids[:, :-1], positions=torch.arange(16).expand(2, 16)).flatten(0, 1)
    loss = linear_cross_entropy(hidden, model.lm_head.weight, ids[:, 1:].flatten())
    (loss + model.auxiliary_loss()).backward()
    with torch.no_grad():
        cache = KVCache(model.config, batch=2, capacity=16)
        model(ids[:, :9], kv_cache=cache), model(ids[:, 9:10], kv_cache=cache)
orthogonalize(torch.randn(2, 3, 4))
for wrong in (lambda: model(ids[0]), lambda: model(ids.float()), lambda: cross_entropy(logits, ids)):
    try:
        wrong()
    except Exception as error:
        assert "type" in type(error).__name__.lower(), error
    else:
        raise SystemExit("a wrong shape passed")
print("checked")
"""


def test_annotated_shapes_hold_at_run_time():
    pytest.importorskip("beartype")
    done = subprocess.run([sys.executable, "-c", CHECKED], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "checked"
