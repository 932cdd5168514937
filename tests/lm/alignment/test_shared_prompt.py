"""Computing a group's prompt once gives the numbers and gradients of computing it for every response."""

import pytest
import torch

pytest.importorskip("lm.tokenizer")

from lm.alignment.sequences import batch_log_probs, pad
from lm.alignment.shared_prompt import group_log_probs
from lm.chat.template import ChatExample
from lm.model import TransformerLM, preset
from tests.lm.model.variants import VARIANTS

GROUP_SIZE = 3
PROMPTS = [[5, 6, 7, 8, 9], [3, 4], [9, 8, 7, 6, 5, 4, 3, 2]]
RESPONSES = [[11, 12], [13], [14, 15, 16, 17, 18, 19], [20], [21, 22, 23], [24], [25], [26, 27], [28]]


@pytest.mark.parametrize("name", VARIANTS)
def test_numbers_and_gradients_are_those_of_repeated_prompts(name):
    torch.manual_seed(0)
    model, temperature = TransformerLM(preset("test", **VARIANTS[name])).double(), 0.6
    examples = [
        ChatExample([*PROMPTS[row // GROUP_SIZE], *response], len(PROMPTS[row // GROUP_SIZE]))
        for row, response in enumerate(RESPONSES)
    ]
    batch = pad(examples, torch.device("cpu"))
    weights = torch.rand(batch.response_mask.shape, generator=torch.Generator().manual_seed(1))
    found = {}
    for name, compute in (
        ("plain", lambda: batch_log_probs(model, batch, temperature)),
        ("shared", lambda: group_log_probs(model, batch, GROUP_SIZE, temperature)),
    ):
        model.zero_grad()
        log_probs = compute()
        (log_probs * weights).sum().backward()
        found[name] = log_probs.detach(), [parameter.grad.clone() for parameter in model.parameters()]
    torch.testing.assert_close(found["shared"][0], found["plain"][0], atol=1e-5, rtol=1e-5)
    for shared, plain in zip(found["shared"][1], found["plain"][1], strict=True):
        torch.testing.assert_close(shared, plain, atol=1e-5, rtol=1e-4)
