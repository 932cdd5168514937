"""Held-out figures of SFT against one example at a time."""

import pytest
import torch

pytest.importorskip("lm.tokenizer")

from lm.alignment.sft import heldout_figures
from lm.chat.template import ChatExample
from lm.model import TransformerLM, preset

EXAMPLES = [ChatExample([3, 4, 5, 6, 7], 3), ChatExample([9, 8], 1), ChatExample([1, 2, 3, 4, 5, 6, 7, 8], 2)]


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_loss_and_accuracy_are_those_of_the_response_tokens_alone(batch_size):
    torch.manual_seed(0)
    model = TransformerLM(preset("test")).eval()
    examples = [*EXAMPLES]
    with torch.no_grad():
        likeliest = model(torch.tensor([[3, 4, 5]]))[0, -1].argmax().item()
        examples.append(ChatExample([3, 4, 5, likeliest], 3))  # one token that is right for sure
        losses, right = [], 0
        for example in examples:
            log_probs = model(torch.tensor([example.token_ids]))[0].log_softmax(-1)
            for place in range(example.num_prompt_tokens, len(example.token_ids)):
                losses.append(-log_probs[place - 1, example.token_ids[place]].item())
                right += int(log_probs[place - 1].argmax() == example.token_ids[place])
    found = heldout_figures(model, examples, batch_size)
    assert found["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert found["token_accuracy"] == right / len(losses) > 0
