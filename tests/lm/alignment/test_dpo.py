"""The DPO loss against equation 7, and how preferences are counted."""

import math
import warnings
from collections import defaultdict
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch

pytest.importorskip("lm.tokenizer")

from lm.alignment.dpo import dpo_loss, dpo_loss_of_pair
from lm.alignment.log_probs import logits_of
from lm.alignment.preferences import Pair, PairLogProbs, all_pair_log_probs, pair_log_probs, preference_rates
from lm.alignment.sequences import batch_log_probs, pad
from lm.chat.template import ChatExample
from lm.model import TransformerLM, preset


def scores(chosen, rejected):
    ones = torch.ones(len(chosen))
    return PairLogProbs(torch.tensor(chosen), torch.tensor(rejected), ones, ones)


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
    dpo_loss(PairLogProbs(chosen, rejected, torch.ones(1), torch.ones(1)), scores([-2.0], [-1.0]), 0.5).sum().backward()
    # At the reference the margin is 0 and σ(0) = ½ (Rafailov et al. 2023, the gradient below eq. 7).
    assert chosen.grad.item() == pytest.approx(-0.25)
    assert rejected.grad.item() == pytest.approx(0.25)


def test_a_tie_is_half_a_preference():
    policy, reference = scores([0.0, -1.0, -3.0], [-1.0, -1.0, -1.0]), scores([0.0, -2.0, -5.0], [-1.0, -1.0, -1.0])
    assert preference_rates(policy, reference) == {
        "reward_accuracy": pytest.approx(2.5 / 3),
        "log_prob_accuracy": pytest.approx(0.5),
        "reward_margin": pytest.approx(1.0),
        "chosen_log_prob": pytest.approx(-4 / 3),
        "rejected_log_prob": pytest.approx(-1.0),
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
            alone = batch_log_probs(model, pad([side], model.device)).sum()
            torch.testing.assert_close(total, alone, atol=1e-5, rtol=1e-5)
    assert together.chosen_tokens.tolist() == [2, 1, 1]
    in_parts = all_pair_log_probs(model, pairs, batch_size=2)
    torch.testing.assert_close(in_parts.chosen, together.chosen.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[[2, 0]].rejected, together.rejected[[2, 0]])


@pytest.mark.parametrize("margin", [-3.0, 0.0, 0.4, 50.0])
@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_every_loss_is_its_formula(margin, beta):
    policy, reference = scores([margin, 1.0], [0.0, 1.0]), scores([0.0, 1.0], [0.0, 1.0])
    sigmoid = 1 / (1 + math.exp(-beta * margin))
    wanted = {
        ("sigmoid", 0.0): -math.log(sigmoid),
        ("sigmoid", 0.1): -0.9 * math.log(sigmoid) - 0.1 * math.log(1 / (1 + math.exp(beta * margin))),
        ("ipo", 0.0): (margin - 1 / (2 * beta)) ** 2,
        ("hinge", 0.0): max(0.0, 1 - beta * margin),
    }
    for (loss, smoothing), value in wanted.items():
        found = dpo_loss(policy, reference, beta, loss=loss, label_smoothing=smoothing)
        assert found[0].item() == pytest.approx(value, rel=1e-5, abs=1e-6)
        if loss == "sigmoid":
            assert found[1].item() == pytest.approx(math.log(2))  # where the policy is the reference


def test_length_normalized_margins_are_those_of_mean_log_probabilities():
    policy = PairLogProbs(*(torch.tensor([value]) for value in (-6.0, -8.0, 3.0, 2.0)))
    reference = PairLogProbs(*(torch.tensor([value]) for value in (-9.0, -6.0, 3.0, 2.0)))
    found = dpo_loss(policy, reference, 0.5, length_normalized=True)
    assert found.item() == pytest.approx(math.log(1 + math.exp(-0.5 * (3 / 3 - (-2 / 2)))))


@pytest.mark.parametrize("name", ["sigmoid", "hinge", "ipo", "sigmoid_norm"])
def test_losses_are_those_of_trl(name):
    """Its trainer's method on the few attributes that the method reads."""
    pytest.importorskip("trl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trl.trainer.dpo_trainer import DPOTrainer

    generator = torch.Generator().manual_seed(0)
    mask = (torch.arange(6) >= 2) & (torch.arange(6) < torch.tensor([[6], [4], [3], [5]]))  # two chosen, two rejected
    log_probs = -torch.rand(4, 5, generator=generator) * mask[:, 1:]
    totals, anchors, lengths = log_probs.sum(dim=1), -3 * torch.rand(4, generator=generator), mask.sum(dim=1).float()
    blank = torch.zeros(4, 5)
    output = SimpleNamespace(log_probs=log_probs, entropy=blank, mean_logits=blank, is_top1=blank.bool())
    trainer = MagicMock(
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=[name],
        loss_weights=[1.0],
        beta=0.3,
        use_weighting=False,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
        accelerator=MagicMock(gather=lambda x: x, gather_for_metrics=lambda x: x, device=torch.device("cpu")),
    )
    inputs = {"input_ids": torch.zeros(4, 6).long(), "attention_mask": mask, "completion_mask": mask.long()}
    inputs |= {"ref_chosen_logps": anchors[:2], "ref_rejected_logps": anchors[2:]}
    theirs = DPOTrainer._compute_loss(trainer, lambda **inputs: output, inputs, return_outputs=False)
    policy, reference = (PairLogProbs(x[:2], x[2:], lengths[:2], lengths[2:]) for x in (totals, anchors))
    kind = {"sigmoid_norm": "sigmoid"}.get(name, name)
    ours = dpo_loss(policy, reference, 0.3, loss=kind, length_normalized=name in ("ipo", "sigmoid_norm"))
    torch.testing.assert_close(ours.mean(), theirs)


@pytest.mark.parametrize("kind", ["module", "transformers"])
def test_the_loss_of_one_pair_under_any_model(kind):
    torch.manual_seed(0)
    if kind == "module":
        model, reference = (torch.nn.Embedding(16, 16) for _ in range(2))  # bigrams
    else:
        transformers = pytest.importorskip("transformers")
        shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = transformers.LlamaConfig(vocab_size=16, **shape)
        model, reference = (transformers.LlamaForCausalLM(config).eval() for _ in range(2))
    prompt, sides = [1, 2, 3], ([4, 5], [6, 7, 8])

    def log_prob(which, response):
        logits = logits_of(which, torch.tensor([[*prompt, *response]]))[0, len(prompt) - 1 : -1]
        return sum(logits.log_softmax(-1)[place, token] for place, token in enumerate(response))

    ratios = [log_prob(model, side) - log_prob(reference, side) for side in sides]
    loss = dpo_loss_of_pair(model, reference, *(torch.tensor(each) for each in (prompt, *sides)), beta=0.5)
    torch.testing.assert_close(loss, -torch.nn.functional.logsigmoid(0.5 * (ratios[0] - ratios[1])))
    loss.backward()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_the_loss_of_one_pair_is_that_of_the_batch():
    torch.manual_seed(0)
    model, reference = (TransformerLM(preset("test")).eval() for _ in range(2))
    prompt, chosen, rejected = torch.tensor([1, 2, 3]), torch.tensor([4, 5]), torch.tensor([6, 7, 8])
    pair = Pair(*(ChatExample([*prompt.tolist(), *side.tolist()], 3) for side in (chosen, rejected)))
    loss = dpo_loss_of_pair(model, reference, prompt, chosen, rejected, beta=0.5)
    wanted = dpo_loss(pair_log_probs(model, [pair]), pair_log_probs(reference, [pair]), 0.5)
    torch.testing.assert_close(loss, wanted.squeeze())
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert not any(parameter.grad is not None for parameter in reference.parameters())
    same = dpo_loss_of_pair(model, model, prompt, chosen, rejected)
    assert same.item() == pytest.approx(math.log(2)) and same.requires_grad
