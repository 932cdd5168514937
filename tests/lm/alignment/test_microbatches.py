"""Any split of a batch into microbatches gives the gradient of the whole batch."""

import pytest
import torch

from lm.alignment import grpo_microbatch_step, kl_estimate, sft_microbatch_step, token_weights
from lm.alignment.sequences import batch_log_probs, pad
from lm.alignment.sft import accumulate_sft_gradients
from lm.chat.template import ChatExample
from lm.model import TransformerLM, preset

EXAMPLES = [
    ChatExample([3, 4, 5, 6, 7], 3),
    ChatExample([9, 8], 1),
    ChatExample([1, 2, 3, 4, 5, 6, 7, 8], 2),
    ChatExample([4, 4, 2], 2),
]
SPLITS = [[4], [1, 1, 1, 1], [3, 1], [1, 3], [2, 2]]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return TransformerLM(preset("test")).double()


def gradients(model, accumulate):
    model.zero_grad()
    accumulate()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def parts(split):
    start = 0
    for size in split:
        yield torch.arange(start, start + size)
        start += size


@pytest.mark.parametrize("split", SPLITS)
def test_sft(model, split):
    batch = pad(EXAMPLES, model.device)
    constant, losses = batch.response_mask.sum().item(), []

    def accumulate():
        for rows in parts(split):
            part = batch.select(rows)
            losses.append(sft_microbatch_step(batch_log_probs(model, part), part.response_mask, constant)[0])

    found = gradients(model, accumulate)
    loss = -batch_log_probs(model, batch).sum() / constant
    model.zero_grad()
    whole = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
    torch.testing.assert_close(found, whole, atol=1e-14, rtol=1e-10)
    torch.testing.assert_close(sum(losses), loss.detach())


@pytest.mark.parametrize("microbatch_size", [1, 2, 3, 4, 64])
def test_the_stage_itself(model, microbatch_size):
    found = gradients(model, lambda: accumulate_sft_gradients(model, EXAMPLES, microbatch_size))
    whole = gradients(model, lambda: accumulate_sft_gradients(model, EXAMPLES, len(EXAMPLES)))
    torch.testing.assert_close(found, whole, atol=1e-14, rtol=1e-10)


@pytest.mark.parametrize("method", ["naive", "clip", "gspo", "cispo"])
@pytest.mark.parametrize("normalization", ["token", "sequence", "constant"])
def test_grpo(model, method, normalization):
    batch = pad(EXAMPLES, model.device)
    advantages = torch.tensor([1.0, -1.0, 0.5, -0.5], dtype=torch.float64)
    with torch.no_grad():
        now = batch_log_probs(model, batch)
        old = now + 0.3 * torch.rand(now.shape, generator=torch.Generator().manual_seed(1)).double() - 0.1
    weights = token_weights(batch.response_mask, normalization, 8)
    found = []
    for split in SPLITS:

        def accumulate(split=split):
            for rows in parts(split):
                part = batch.select(rows)
                width = part.response_mask.shape[1]
                log_probs = batch_log_probs(model, part)
                grpo_microbatch_step(
                    log_probs,
                    part.response_mask,
                    advantages[rows],
                    weights[rows, :width],
                    method=method,
                    old_log_probs=old[rows, :width],
                    penalty=0.1 * kl_estimate(log_probs, old[rows, :width]),
                )

        found.append(gradients(model, accumulate))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=1e-14, rtol=1e-9)
    assert found[0].any()


def test_the_metadata_count_what_is_clipped():
    log_probs = torch.tensor([[-1.0, -1.0, -1.0]], requires_grad=True)
    old = torch.tensor([[-1.0, -2.0, -0.1]])
    mask = torch.tensor([[True, True, False]])
    loss, found = grpo_microbatch_step(
        log_probs, mask, torch.tensor([1.0]), mask / 2, old_log_probs=old, added_loss=log_probs.sum()
    )
    assert (found["clipped"].item(), found["num_tokens"].item()) == (1, 2)
    assert found["ratio"].item() == pytest.approx(1 + 2.718281828, rel=1e-6)
    assert loss.item() == pytest.approx(-(1 + 1.2) / 2)
    torch.testing.assert_close(log_probs.grad, torch.tensor([[1 - 0.5, 1.0, 1.0]]))
