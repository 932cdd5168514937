"""Recomputation: the products that each strategy computes again, and the bytes that it keeps."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.memory import live_bytes
from lm.model import TransformerLM, preset
from lm.training.recomputation import kept_operations, recompute

PRODUCTS = ("mm", "addmm", "bmm", "_scaled_dot_product_flash_attention_for_cpu")


class Operations(TorchDispatchMode):
    """Counts the operations that run inside of it."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        self.counts[operation.overloadpacket.__name__] += 1
        return operation(*arguments, **(options or {}))


def counted(strategy):
    """Operations of a forward and of its backward, and the gradients."""
    torch.manual_seed(0)
    model = TransformerLM(preset("test", num_kv_heads=4))
    recompute(model.layers, strategy)
    loss = model(torch.randint(128, (2, 32))).square().mean()
    with Operations() as backward:
        loss.backward()
    return backward.counts, [parameter.grad for parameter in model.parameters()]


def test_selective_recomputation_repeats_no_product_and_no_attention():
    plain, expected = counted("none")
    (selective, found), (blocks, again) = counted("selective"), counted("blocks")
    assert sum(selective[name] for name in PRODUCTS) == sum(plain[name] for name in PRODUCTS)
    assert (
        sum(blocks[name] for name in PRODUCTS) == sum(plain[name] for name in PRODUCTS) + 2 * 7
    )  # but for a layer's last
    assert selective["silu"] == blocks["silu"] == plain["silu"] + 2
    for gradients in (found, again):
        assert all(torch.equal(*pair) for pair in zip(gradients, expected, strict=True))


def test_strategies_keep_ever_fewer_bytes():
    kept = {}
    for strategy in ("none", "selective", "blocks"):
        model = TransformerLM(preset("test"))
        recompute(model.layers, strategy)
        kept[strategy] = live_bytes(lambda model=model: model.hidden(torch.randint(128, (2, 32))))
    assert kept["blocks"] < 0.5 * kept["selective"] and kept["selective"] < 0.7 * kept["none"]


def test_without_gradients_nothing_is_recomputed():
    model = TransformerLM(preset("test"))
    recompute(model.layers, "selective")
    with torch.no_grad(), Operations() as forward:
        model(torch.randint(128, (1, 8)))
    assert forward.counts["silu"] == 2


@pytest.mark.parametrize("name", ["mm", "addmm", "bmm", "_scaled_mm", "_grouped_mm"])
def test_the_kept_operations_exist_in_this_version_of_torch(name):
    assert getattr(torch.ops.aten, name).default in kept_operations()


def test_own_attention_is_kept():
    assert torch.ops.loam.flash_attention.default in kept_operations()
    assert sum("scaled_dot_product" in str(operation) for operation in kept_operations()) == 4
