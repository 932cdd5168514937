import copy
import unittest.mock

import pytest
import torch

from lm.errors import ConfigurationError
from lm.model import TransformerLM, preset
from lm.training import (
    SGD,
    AdamW,
    Muon,
    clip_gradients,
    decay_groups,
    gradient_norm,
    make_parameter_groups,
    muon,
    muon_groups,
)
from lm.training.muon import orthogonalize


def _weights():
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape)) for shape in ((4, 3), (5,), (2, 2))]


def _set_gradients(parameters, step):
    generator = torch.Generator().manual_seed(step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator) * (1 + step % 5)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_equals_torchs_over_a_thousand_steps(decay):
    ours, theirs = _weights(), _weights()
    settings = {"lr": 3e-3, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": decay}
    optimizers = [AdamW(ours, **settings), torch.optim.AdamW(theirs, **settings)]
    for step in range(1000):
        for parameters, optimizer in zip((ours, theirs), optimizers, strict=True):
            _set_gradients(parameters, step)
            optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / 2000)
            optimizer.step()
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-6, atol=1e-6)


def test_a_weight_that_comes_late_starts_its_own_count():
    ours, theirs = _weights(), _weights()
    optimizers = [AdamW(ours), torch.optim.AdamW(theirs)]
    for step in range(6):
        for parameters, optimizer in zip((ours, theirs), optimizers, strict=True):
            _set_gradients(parameters, step)
            if step < 3:
                parameters[1].grad = None
            optimizer.step()
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-6, atol=1e-6)


def test_decay_after_the_move_shrinks_the_move_too():
    first, last = _weights(), _weights()
    settings = {"lr": 0.1, "weight_decay": 0.5}
    for parameters, decay_last in ((first, False), (last, True)):
        _set_gradients(parameters, 1)
        AdamW(parameters, decay_last=decay_last, **settings).step()
    # Of a first step the update is the gradient's sign: the orders differ by lr² · decay of it.
    for a, b, start in zip(first, last, _weights(), strict=True):
        torch.testing.assert_close(a, start * 0.95 - 0.1 * a.grad.sign())
        torch.testing.assert_close(b, (start - 0.1 * b.grad.sign()) * 0.95)


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_sgd_equals_torchs(settings, decay):
    ours, theirs = _weights(), _weights()
    optimizers = [
        kind(w, lr=1e-2, weight_decay=decay, **settings) for kind, w in ((SGD, ours), (torch.optim.SGD, theirs))
    ]
    for step in range(200):
        for parameters, optimizer in zip((ours, theirs), optimizers, strict=True):
            _set_gradients(parameters, step)
            optimizer.step()
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-6, atol=1e-6)


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigurationError, match="betas below 1"):
        AdamW(_weights(), betas=(0.9, 1.0))
    with pytest.raises(ConfigurationError, match="momentum below 1"):
        SGD(_weights(), momentum=1.0)
    with pytest.raises(ConfigurationError, match="nesterov without momentum"):
        SGD(_weights(), nesterov=True)


def test_groups_know_their_role_decay_and_share_of_the_rate():
    model = TransformerLM(preset("test"))
    groups = {group["role"]: group for group in make_parameter_groups(model, 0.1, multipliers={"lm_head": 0.5})}
    assert set(groups) == {"embeddings", "lm_head", "matrices", "vectors"}
    assert groups["embeddings"]["params"] == [model.token_embeddings.weight]
    assert groups["lm_head"]["params"] == [model.lm_head.weight] and groups["lm_head"]["lr_scale"] == 0.5
    assert {role: group["weight_decay"] for role, group in groups.items() if group["weight_decay"] != 0.1} == {
        "vectors": 0.0
    }
    assert sum(p.numel() for group in groups.values() for p in group["params"]) == model.num_parameters
    with pytest.raises(ConfigurationError, match=r"learning_rate_multipliers.lm_head: no weight has this role"):
        make_parameter_groups(TransformerLM(preset("test", tie_embeddings=True)), 0.1, multipliers={"lm_head": 0.5})


@pytest.mark.parametrize(
    ("optimizer", "scales"),
    [
        ("adamw", {"embeddings": 1, "lm_head": 1, "matrices": 1 / 4, "vectors": 1}),
        ("sgd", {"embeddings": 4, "lm_head": 4, "matrices": 1, "vectors": 4}),
        ("muon", {"embeddings": 1, "lm_head": 1, "matrices": 1 / 2, "vectors": 1}),
    ],
)
def test_rates_follow_the_width(optimizer, scales):
    groups = make_parameter_groups(TransformerLM(preset("test")), 0.1, optimizer=optimizer, width_ratio=4.0)
    assert {group["role"]: group["lr_scale"] for group in groups} == scales


@pytest.mark.parametrize("max_norm", [0.5, 1e6])
def test_clipping_equals_torchs(max_norm):
    ours, theirs = _weights(), _weights()
    for parameters in (ours, theirs):
        _set_gradients(parameters, 3)
    norm = clip_gradients(ours, max_norm)
    torch.testing.assert_close(norm, torch.nn.utils.clip_grad_norm_(theirs, max_norm))
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our.grad, their.grad)
    torch.testing.assert_close(gradient_norm(ours), torch.minimum(norm, torch.tensor(max_norm)), rtol=1e-5, atol=1e-5)


def test_only_matrices_decay():
    model = TransformerLM(preset("test", tie_embeddings=True))
    matrices, vectors = decay_groups(model, 0.1)
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)
    assert sum(p.numel() for group in (matrices, vectors) for p in group["params"]) == model.num_parameters
    assert {id(p) for p in vectors["params"]} == {id(p) for name, p in model.named_parameters() if "ln" in name}


def test_one_batch_is_learned_by_heart():
    torch.manual_seed(0)
    model = TransformerLM(preset("test"))
    ids = torch.randint(128, (4, 17))
    optimizer = AdamW(decay_groups(model, 0.0), lr=1e-2)
    before = copy.deepcopy(model.state_dict())
    for _ in range(120):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01
    assert all(not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("shape", [(6, 6), (4, 10), (10, 4)])
def test_orthogonalize_evens_out_the_singular_values(shape):
    torch.manual_seed(0)
    matrices = torch.randn(3, *shape)
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    made = orthogonalize(matrices)
    torch.testing.assert_close(orthogonalize(matrices[0]), made[0])
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.6 and values.max() < 1.3
    # The singular vectors stay: the product with U Vᵀ is diagonal up to the values' spread.
    torch.testing.assert_close(u.mT @ made @ v.mT, torch.diag_embed((u.mT @ made @ v.mT).diagonal(dim1=-2, dim2=-1)))


def test_muon_moves_the_layers_matrices_and_adamw_the_rest():
    torch.manual_seed(0)
    model = TransformerLM(preset("test"))
    groups = muon_groups(model, 0.1)
    assert sum(p.numel() for group in groups for p in group["params"]) == model.num_parameters
    optimizer = Muon(groups, lr=1e-2)
    twin = copy.deepcopy(model)
    ids = torch.randint(128, (4, 17))
    for trained, moves in ((model, optimizer), (twin, AdamW(decay_groups(twin, 0.1), lr=1e-2))):
        torch.nn.functional.cross_entropy(trained(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).backward()
        moves.step()
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        by_adamw = ours.ndim == 1 or not name.startswith("layers.")
        assert torch.equal(ours, theirs) == by_adamw, name
    assert set(optimizer.state[model.layers[0].attn.q_proj.weight]) == {"momentum"}


def test_a_stack_of_matrices_moves_as_each_of_them_would():
    torch.manual_seed(0)
    stack = torch.nn.Parameter(torch.zeros(3, 8, 12))
    stack.grad = torch.randn(3, 8, 12)
    alone = [torch.nn.Parameter(torch.zeros(8, 12)) for _ in range(3)]
    for matrix, gradient in zip(alone, stack.grad, strict=True):
        matrix.grad = gradient.clone()
    for parameters in ([stack], alone):
        Muon([{"params": parameters, "orthogonal": True}], lr=1.0).step()
    torch.testing.assert_close(stack.data, torch.stack([matrix.data for matrix in alone]))


def test_matrices_of_one_shape_move_in_one_product_however_they_stand():
    """Tall, wide and stacked: the same updates as alone, from one call of the iteration."""
    torch.manual_seed(0)
    shapes = [(8, 12), (12, 8), (2, 12, 8)]
    together, alone = ([torch.nn.Parameter(torch.zeros(shape)) for shape in shapes] for _ in range(2))
    for ours, theirs in zip(together, alone, strict=True):
        ours.grad = torch.randn(ours.shape)
        theirs.grad = ours.grad.clone()
    with unittest.mock.patch.object(muon, "orthogonalize", side_effect=muon.orthogonalize) as iteration:
        Muon([{"params": together, "orthogonal": True}], lr=1.0).step()
    assert iteration.call_count == 1
    for parameter in alone:
        Muon([{"params": [parameter], "orthogonal": True}], lr=1.0).step()
    for ours, theirs in zip(together, alone, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_iteration_compiles_without_a_break():
    found = torch._dynamo.explain(muon._newton_schulz)(torch.randn(2, 4, 6), 5)
    assert found.graph_break_count == 0


def test_a_muon_update_is_as_large_as_adamws():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(64, 96))
    weight.grad = torch.randn(64, 96)
    Muon([{"params": [weight], "orthogonal": True}], lr=1.0, weight_decay=0.0).step()
    assert weight.square().mean().sqrt().item() == pytest.approx(0.2, rel=0.2)
