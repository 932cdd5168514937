"""Losses of policy gradients against their formulas written out with loops, and against `trl`'s own code."""

import math
import warnings
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch

from lm.alignment import clipped_value_loss, kl_estimate, policy_gradient_loss, token_weights
from lm.alignment.policy_losses import METHODS, OFF_POLICY, adapted_kl_weight, is_clipped, probability_ratio
from lm.errors import ConfigurationError

LOW, HIGH, LONGEST = 0.2, 0.28, 10
ADVANTAGES = torch.tensor([1.0, -0.5, 0.0, 2.0, -1.5, 0.25], dtype=torch.float64)


def plain_loss(method, log_probs, old, advantages, mask):
    """The losses of the module's docstring, one token after the other, in Python floats."""
    losses = torch.zeros_like(log_probs)
    for i, row in enumerate(mask):
        places = row.nonzero().flatten().tolist()
        mean = sum(log_probs[i, t].item() - old[i, t].item() for t in places) / len(places)
        for t in places:
            log_prob, advantage = log_probs[i, t].item(), advantages[i].item()
            ratio = math.exp(mean if method == "gspo" else log_prob - old[i, t].item())
            clipped = min(max(ratio, 1 - LOW), 1 + HIGH)
            losses[i, t] = {
                "naive": -advantage * log_prob,
                "reinforce_with_baseline": -advantage * log_prob,
                "unclipped": -ratio * advantage,
                "clip": -min(ratio * advantage, clipped * advantage),
                "gspo": -min(ratio * advantage, clipped * advantage),
                "cispo": -clipped * advantage * log_prob,
            }[method]
    return losses


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([7, 1, 4, 7, 3, 5])
    mask = (torch.arange(9) >= 1) & (torch.arange(9) <= lengths[:, None])
    log_probs, old, reference = (-1.5 * torch.rand(6, 9, generator=generator, dtype=torch.float64) for _ in range(3))
    return log_probs.requires_grad_(), old, reference, mask


def gradient(method, log_probs, old, advantages, mask):
    """By hand: of a token's own loss where the ratio is a token's, of the response's mean for `gspo`."""
    ratio = probability_ratio(log_probs.detach(), old, mask, whole_response=method == "gspo")
    by_token = advantages[:, None].expand_as(ratio)
    still = is_clipped(advantages, ratio, method, LOW, HIGH)
    return {
        "naive": -by_token,
        "reinforce_with_baseline": -by_token,
        "unclipped": -ratio * by_token,
        "clip": -(ratio * by_token).masked_fill(still, 0.0),
        "gspo": -(ratio * by_token).masked_fill(still, 0.0),
        "cispo": -ratio.clamp(1 - LOW, 1 + HIGH) * by_token,
    }[method] * mask


@pytest.mark.parametrize("method", METHODS)
def test_losses_and_gradients_are_the_formulas(rows, method):
    log_probs, old, _, mask = rows
    losses = policy_gradient_loss(ADVANTAGES, log_probs, method, old, LOW, HIGH, mask)
    torch.testing.assert_close(losses, plain_loss(method, log_probs, old, ADVANTAGES, mask))
    assert not losses[~mask].any()
    losses.sum().backward()
    torch.testing.assert_close(log_probs.grad, gradient(method, log_probs, old, ADVANTAGES, mask))


@pytest.mark.parametrize("method", METHODS)
def test_on_the_policy_that_drew_every_method_has_the_same_gradient(rows, method):
    log_probs, _, _, mask = rows
    policy_gradient_loss(ADVANTAGES, log_probs, method, log_probs.detach(), LOW, HIGH, mask).sum().backward()
    torch.testing.assert_close(log_probs.grad, -ADVANTAGES[:, None] * mask)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("poison", [math.nan, -math.inf])
def test_nothing_outside_of_the_mask_comes_through(rows, method, poison):
    log_probs, old, _, mask = rows
    poisoned = log_probs.detach().masked_fill(~mask, poison).requires_grad_()
    losses = policy_gradient_loss(ADVANTAGES, poisoned, method, old.masked_fill(~mask, poison), LOW, HIGH, mask)
    torch.testing.assert_close(losses, policy_gradient_loss(ADVANTAGES, log_probs, method, old, LOW, HIGH, mask))
    losses.sum().backward()
    assert poisoned.grad.isfinite().all()
    whole = policy_gradient_loss(ADVANTAGES, log_probs, method, old, LOW, HIGH)
    assert not torch.equal(whole, losses) and whole[~mask].any()


def test_advantages_of_tokens_are_taken_one_by_one(rows):
    log_probs, old, _, mask = rows
    by_token = ADVANTAGES[:, None].expand(6, 9)
    for method in METHODS:
        whole = policy_gradient_loss(ADVANTAGES, log_probs, method, old, LOW, HIGH, mask)
        assert torch.equal(whole, policy_gradient_loss(by_token, log_probs, method, old, LOW, HIGH, mask))


@pytest.mark.parametrize(
    ("shift", "advantage", "moves"), [(0.5, 1.0, False), (0.5, -1.0, True), (-0.5, 1.0, True), (-0.5, -1.0, False)]
)
def test_clipping_stops_only_what_went_too_far_already(shift, advantage, moves):
    log_probs = torch.tensor([[-1.0 + shift]], requires_grad=True)
    policy_gradient_loss(torch.tensor([advantage]), log_probs, "clip", torch.tensor([[-1.0]])).sum().backward()
    assert (log_probs.grad.item() != 0) is moves


@pytest.mark.parametrize("method", sorted(OFF_POLICY))
def test_a_ratio_needs_the_policy_that_drew(rows, method):
    with pytest.raises(ConfigurationError, match="needs old_log_probs"):
        policy_gradient_loss(ADVANTAGES, rows[0], method)


def test_an_unknown_method_is_refused(rows):
    with pytest.raises(ConfigurationError, match="'ppo', expected one of naive"):
        policy_gradient_loss(ADVANTAGES, rows[0], "ppo")


@pytest.mark.parametrize(("normalization", "divisor"), [("token", 27), ("sequence", None), ("constant", 60)])
def test_weights_are_one_over_the_divisor(rows, normalization, divisor):
    mask = rows[3]
    weights = token_weights(mask, normalization, LONGEST)
    for i, t in mask.nonzero().tolist():
        assert weights[i, t].item() == pytest.approx(1 / (divisor or 6 * int(mask[i].sum())))
    assert not weights[~mask].any()


def test_kl_estimates_are_their_formulas_and_average_to_the_divergence():
    probs, reference = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.3, 0.5]).double()
    kl = (probs * (probs / reference).log()).sum()
    for estimator in ("k1", "k3"):
        torch.testing.assert_close((probs * kl_estimate(probs.log(), reference.log(), estimator)).sum(), kl)
    assert kl_estimate(probs.log(), reference.log(), "k3").min() >= 0
    d = math.log(0.5 / 0.2)
    found = [kl_estimate(probs.log(), reference.log(), name)[0].item() for name in ("k1", "k2", "k3")]
    assert found == pytest.approx([d, d * d / 2, math.exp(-d) + d - 1])


def test_the_second_estimate_has_the_gradient_of_the_divergence():
    logits = torch.tensor([0.1, -0.3, 0.7], dtype=torch.float64, requires_grad=True)
    reference = torch.log_softmax(torch.tensor([0.0, 0.5, -0.5], dtype=torch.float64), 0)
    log_probs = torch.log_softmax(logits, 0)
    (true,) = torch.autograd.grad((log_probs.exp() * (log_probs - reference)).sum(), logits, retain_graph=True)
    expected = (log_probs.exp().detach() * kl_estimate(log_probs, reference, "k2")).sum()
    torch.testing.assert_close(torch.autograd.grad(expected, logits)[0], true)


def test_the_value_loss_by_hand():
    values = torch.tensor([[1.0, 2.0, 5.0]], requires_grad=True)
    old, returns = torch.tensor([[1.0, 1.5, 0.0]]), torch.tensor([[2.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, False]])
    loss = clipped_value_loss(values, old, returns, mask, clip=0.2)
    assert loss.item() == pytest.approx(0.5 * (1.0 + 4.0) / 2)  # (1−2)², max((2−0)², (1.7−0)²)
    loss.backward()
    torch.testing.assert_close(values.grad, torch.tensor([[-0.5, 1.0, 0.0]]))


@pytest.mark.parametrize(("kl", "wanted"), [(6.0, 1.0), (60.0, 1.02), (0.0, 0.98), (6.6, 1.01)])
def test_the_weight_of_the_kl_follows_the_error(kl, wanted):
    assert adapted_kl_weight(1.0, kl, 6.0, num_samples=1_000) == pytest.approx(wanted)


@pytest.fixture(scope="module")
def trl_loss():
    """`trl`'s loss of given log-probabilities: its trainer's method on the few attributes that the method reads."""
    pytest.importorskip("trl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trl.trainer.grpo_trainer import GRPOTrainer

    def loss(log_probs, mask, *, beta=0.0, level="token", loss_type="grpo", epsilon_high=HIGH, **inputs):
        accelerator = SimpleNamespace(
            gather=lambda x: x, gather_for_metrics=lambda x: x, reduce=lambda x, reduction: x, num_processes=1
        )
        trainer = SimpleNamespace(
            _get_per_token_logps_and_entropies=lambda *args, **kwargs: (log_probs, torch.zeros_like(log_probs), None),
            aux_loss_enabled=False,
            top_entropy_quantile=1.0,
            off_policy_mask_threshold=None,
            importance_sampling_level=level,
            beta=beta,
            loss_type=loss_type,
            epsilon_low=LOW,
            epsilon_high=epsilon_high,
            args=SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1),
            use_vllm=False,
            model=SimpleNamespace(training=True),
            current_gradient_accumulation_steps=1,
            max_completion_length=LONGEST,
            accelerator=accelerator,
            _entropy_bonus_enabled=False,
            _metrics={"train": defaultdict(list)},
        )
        ids = torch.zeros(log_probs.shape, dtype=torch.long)
        batch = {"prompt_ids": ids[:, :1], "prompt_mask": ids[:, :1], "completion_ids": ids, "completion_mask": mask}
        batch |= {"advantages": ADVANTAGES, "num_items_in_batch": mask.sum(), **inputs}
        return GRPOTrainer._compute_loss(trainer, None, batch)

    return loss


@pytest.mark.parametrize(
    ("method", "normalization", "kl_weight", "named"),
    [
        ("clip", "sequence", 0.0, {"loss_type": "grpo"}),
        ("clip", "sequence", 0.3, {"loss_type": "grpo", "beta": 0.3}),
        ("clip", "token", 0.3, {"loss_type": "dapo", "beta": 0.3}),
        ("clip", "constant", 0.0, {"loss_type": "dr_grpo"}),
        ("gspo", "sequence", 0.0, {"loss_type": "grpo", "level": "sequence"}),
        # trl's bound of CISPO is the ratio itself, and it has no lower one
        ("cispo", "token", 0.0, {"loss_type": "cispo", "epsilon_high": 1 + HIGH}),
    ],
)
def test_losses_and_gradients_are_those_of_trl(rows, trl_loss, method, normalization, kl_weight, named):
    log_probs, old, reference, mask = rows
    low = 1.0 if method == "cispo" else LOW
    losses = policy_gradient_loss(ADVANTAGES, log_probs, method, old, low, HIGH, mask)
    losses = losses + kl_weight * kl_estimate(log_probs, reference, "k3") * mask
    ours = (losses * token_weights(mask, normalization, LONGEST)).sum()
    theirs = trl_loss(log_probs, mask.double(), old_per_token_logps=old, ref_per_token_logps=reference, **named)
    torch.testing.assert_close(ours, theirs)
    gradients = (torch.autograd.grad(loss, log_probs, retain_graph=True)[0] for loss in (ours, theirs))
    torch.testing.assert_close(*gradients)
