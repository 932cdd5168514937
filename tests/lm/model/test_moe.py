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
@pytest.mark.parametrize("per_token", [1, 2])
def test_sorted_tokens_give_what_all_experts_for_all_tokens_give(ffn, skew, per_token):
    moe = MixtureOfExperts(preset("test", ffn=ffn, **{**EXPERTS, "experts_per_token": per_token})).double()
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
    assert sum(load) == 40 * per_token
    assert sum(load[:2]) == 40 * per_token if skew else sum(load[:2]) < 40 * per_token
    for fast, plain in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain)


def test_balance_loss_is_one_when_even_and_the_number_of_experts_when_on_one():
    config = preset("test", num_experts=4, experts_per_token=1, d_ff=64)
    moe, context = MixtureOfExperts(config), Context()
    with torch.no_grad():
        moe.router.weight.zero_()
        moe.router.weight[:, :4] = 100 * torch.eye(4)
    moe(torch.nn.functional.pad(torch.eye(4).repeat(5, 1), (0, 28)), context)
    assert context.routing[-1].balance_loss.item() == pytest.approx(1.0)
    moe(torch.nn.functional.pad(torch.eye(4)[:1].repeat(20, 1), (0, 28)), context)
    assert context.routing[-1].balance_loss.item() == pytest.approx(4.0)


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


@pytest.mark.parametrize("per_token", [1, 2])
def test_the_router_learns_from_the_loss_of_the_tokens(per_token):
    moe = MixtureOfExperts(preset("test", num_experts=4, experts_per_token=per_token, d_ff=64))
    moe(torch.randn(40, 32)).square().sum().backward()
    assert moe.router.weight.grad.abs().max() > 1e-3


def test_experts_whose_probability_underflows_are_weighted_all_the_same():
    config = preset("test", num_experts=3, experts_per_token=2, d_ff=64, expert_balance="bias")
    moe = MixtureOfExperts(config)
    with torch.no_grad():
        moe.router.weight.zero_()
        moe.router.weight[0, 0] = 1_000.0  # the others' probabilities are 0 in float32
        moe.expert_bias[:] = torch.tensor([-5.0, 1.0, 1.0])  # and they are chosen
    x = torch.ones(2, 32)
    assert moe.route(x)[1].sort().values.tolist() == [[1, 2], [1, 2]]
    torch.testing.assert_close(moe.route(x)[2], torch.full((2, 2), 0.5))
    assert moe(x).isfinite().all()


def test_a_step_that_is_left_out_moves_no_bias():
    model = TransformerLM(preset("test", num_experts=4, d_ff=32, expert_balance="bias"))
    model.hidden(torch.randint(16, (8, 32)))
    model.balance_experts(moving=False)
    assert all(not layer.ffn.expert_bias.any() and not layer.ffn.load.any() for layer in model.layers)


@pytest.mark.parametrize("balance", ["loss", "bias"])
def test_padding_counts_in_no_load(balance):
    model = TransformerLM(preset("test", **EXPERTS, expert_balance=balance))
    ids = torch.randint(1, 128, (3, 8))
    padded = torch.nn.functional.pad(ids, (0, 20))
    found = []
    for rows, counted in ((ids, None), (padded, torch.arange(28).expand(3, 28) < 8)):
        hidden = model.hidden(rows, counted=counted)[:, :8]
        loads = [layer.ffn.load.clone() for layer in model.layers]
        found.append((hidden, model.auxiliary_loss(), *loads))
        model.balance_experts(moving=False)
    for plain, with_padding in zip(*found, strict=True):
        torch.testing.assert_close(with_padding, plain, rtol=1e-4, atol=1e-5)
    assert found[0][2].sum() == 3 * 8 * 2


def test_a_row_of_padding_alone_has_no_load():
    model = TransformerLM(preset("test", **EXPERTS))
    model.hidden(torch.zeros(1, 4, dtype=torch.long), counted=torch.zeros(1, 4, dtype=torch.bool))
    assert model.auxiliary_loss() == 0 and not model.layers[0].ffn.load.any()


def test_routing_compiles_in_one_piece():
    """A count that waits for its values, such as torch.bincount, would break the graph."""
    moe = MixtureOfExperts(preset("test", **EXPERTS))
    x = torch.randn(10, 32)

    def routed(x):
        probabilities, chosen, _ = moe.route(x)
        return moe._routing(probabilities, chosen, None)

    explained = torch._dynamo.explain(routed)(x)
    assert explained.graph_break_count == 0
    _, chosen, _ = moe.route(x)
    assert routed(x).load.tolist() == torch.bincount(chosen.flatten(), minlength=6).tolist()
