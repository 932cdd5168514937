"""The DPO loss against equation 7, and how preferences are counted."""

import math

import pytest
import torch

pytest.importorskip("lm.tokenizer")

from lm.alignment.dpo import dpo_loss
from lm.alignment.preferences import Pair, PairLogProbs, all_pair_log_probs, pair_log_probs, preference_rates
from lm.alignment.sequences import pad, response_log_probs
from lm.chat.template import ChatExample
from lm.model import TransformerLM, preset


def scores(chosen, rejected):
    return PairLogProbs(torch.tensor(chosen), torch.tensor(rejected), torch.ones(len(chosen)))


def test_loss_is_equation_7():
    policy, reference = scores([-3.0, -9.0, -2.0], [-4.0, -1.0, -2.0]), scores([-5.0, -8.0, -2.0], [-4.5, -2.0, -2.0])
    wanted = []
    for i in range(3):
        chosen_ratio = math.exp(policy.chosen[i]) / math.exp(reference.chosen[i])
        rejected_ratio = math.exp(policy.rejected[i]) / math.exp(reference.rejected[i])
        logit = 0.3 * math.log(chosen_ratio) - 0.3 * math.log(rejected_ratio)
        wanted.append(-math.log(1 / (1 + math.exp(-logit))))
    torch.testing.assert_close(dpo_loss(policy, reference, 0.3), torch.tensor(wanted))


def test_loss_is_finite_at_huge_margins():
    loss = dpo_loss(scores([-1e4, 0.0], [0.0, -1e4]), scores([0.0, 0.0], [0.0, 0.0]), 1.0)
    torch.testing.assert_close(loss, torch.tensor([1e4, 0.0]))


def test_gradient_pushes_the_two_sides_apart_by_beta_times_doubt():
    chosen, rejected = torch.tensor([-2.0], requires_grad=True), torch.tensor([-1.0], requires_grad=True)
    dpo_loss(PairLogProbs(chosen, rejected, torch.ones(1)), scores([-2.0], [-1.0]), 0.5).sum().backward()
    # At the reference the margin is 0 and σ(0) = ½ (Rafailov et al. 2023, the gradient below eq. 7).
    assert chosen.grad.item() == pytest.approx(-0.25)
    assert rejected.grad.item() == pytest.approx(0.25)


def test_a_tie_is_half_a_preference():
    policy, reference = scores([0.0, -1.0, -3.0], [-1.0, -1.0, -1.0]), scores([0.0, -2.0, -5.0], [-1.0, -1.0, -1.0])
    assert preference_rates(policy, reference) == {
        "reward_accuracy": pytest.approx(2.5 / 3),
        "log_prob_accuracy": pytest.approx(0.5),
        "reward_margin": pytest.approx(1.0),
    }


def test_both_sides_are_scored_as_each_alone():
    torch.manual_seed(0)
    model = TransformerLM(preset("test")).eval()
    pairs = [
        Pair(ChatExample([1, 2, 3, 4], 2), ChatExample([1, 2, 9], 2)),
        Pair(ChatExample([5, 6, 7], 2), ChatExample([5, 6, 8, 9, 10, 11], 2)),
        Pair(ChatExample([5, 6, 7], 2), ChatExample([5, 6, 8, 9], 2)),
    ]
    together = pair_log_probs(model, pairs)
    for i, pair in enumerate(pairs):
        for side, total in ((pair.chosen, together.chosen[i]), (pair.rejected, together.rejected[i])):
            alone = response_log_probs(model, pad([side], model.device)).sum()
            torch.testing.assert_close(total, alone, atol=1e-5, rtol=1e-5)
    assert together.chosen_tokens.tolist() == [2, 1, 1]
    in_parts = all_pair_log_probs(model, pairs, batch_size=2)
    torch.testing.assert_close(in_parts.chosen, together.chosen.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[[2, 0]].rejected, together.rejected[[2, 0]])
