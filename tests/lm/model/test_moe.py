"""Experts: the fast path against the formula, and what keeps them equally busy."""

import pytest
import torch

from lm.model import Context, MixtureOfExperts, TransformerLM, preset
from lm.model.moe import mixture_reference

EXPERTS = {"num_experts": 6, "experts_per_token": 2, "d_ff": 64}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("ffn", ["swiglu", "geglu", "relu2"])
@pytest.mark.parametrize("skew", [0.0, 50.0])
def test_sorted_tokens_give_what_all_experts_for_all_tokens_give(ffn, skew):
    moe = MixtureOfExperts(preset("test", ffn=ffn, **EXPERTS)).double()
    x = torch.randn(40, 32, dtype=torch.float64)
    with torch.no_grad():
        x[:, 0] = 1.0
        moe.router.weight[:2, 0] += skew  # with a skew all tokens fall on two experts, and none is dropped
    found, context = [], Context()
    for compute in (lambda: moe(x, context), lambda: mixture_reference(moe, x)):
        moe.zero_grad()
        y = compute()
        y.square().sum().backward()
        found.append((y, *(p.grad.clone() for p in moe.parameters())))
    load = context.routing[0].load.tolist()
    assert load == [40, 40, 0, 0, 0, 0] if skew else sum(load) == 80
    for fast, plain in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain)


def test_balance_loss_is_one_when_even_and_the_number_of_experts_when_on_one():
    config = preset("test", num_experts=4, experts_per_token=1, d_ff=64)
    moe, context = MixtureOfExperts(config), Context()
    with torch.no_grad():
        moe.router.weight.zero_()
        moe.router.weight[:, :4] = 100 * torch.eye(4)
    moe(torch.nn.functional.pad(torch.eye(4).repeat(5, 1), (0, 28)), context)
    assert context.routing[0].balance_loss.item() == pytest.approx(1.0)
    moe(torch.nn.functional.pad(torch.eye(4)[:1].repeat(20, 1), (0, 28)), context)
    assert context.routing[0].balance_loss.item() == pytest.approx(4.0)


def unevenness(model, ids):
    """The largest share of a layer's choices on one expert, times the number of experts; 1 is even."""
    model.balance_experts()
    model.hidden(ids)
    worst = max((layer.ffn.load.max() / layer.ffn.load.mean()).item() for layer in model.layers)
    model.balance_experts()
    return worst


def test_the_auxiliary_loss_evens_the_load():
    model = TransformerLM(preset("test", num_experts=8, d_ff=32, balance_weight=1.0))
    ids = torch.randint(16, (8, 32))
    before = unevenness(model, ids)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(40):
        model.hidden(ids)
        optimizer.zero_grad()
        model.auxiliary_loss().backward()
        optimizer.step()
    assert before > 1.6 and unevenness(model, ids) < 0.7 * before
    assert model.auxiliary_loss().item() > 0  # of the forward that looked
    assert model.auxiliary_loss().item() == 0, "each forward's term is given once"


def test_the_bias_evens_the_load_without_a_gradient():
    model = TransformerLM(preset("test", num_experts=8, d_ff=32, expert_balance="bias", balance_weight=0.02))
    ids = torch.randint(16, (8, 32))
    before = unevenness(model, ids)
    for _ in range(40):
        model.hidden(ids)
        assert model.auxiliary_loss().item() == 0
        model.balance_experts()
    assert before > 1.6 and unevenness(model, ids) < 0.8 * before


def test_only_forwards_with_gradients_count():
    model = TransformerLM(preset("test", num_experts=4, d_ff=64, expert_balance="bias"))
    ids = torch.zeros(1, 5, dtype=torch.long)
    with torch.no_grad():
        model(ids)
    assert model.layers[0].ffn.load.sum() == 0
    model(ids)
    assert model.layers[0].ffn.load.sum() == 5 * 2
