"""The KL of two models against torch's own, one response after the other."""

import pytest
import torch
from torch.nn import functional as F

from lm.alignment.divergence import mean_kl
from lm.chat.template import ChatExample
from lm.model import TransformerLM, preset

EXAMPLES = [ChatExample([3, 4, 5, 6, 7], 3), ChatExample([9, 8], 1), ChatExample([1, 2, 3, 4, 5, 6, 7, 8], 2)]
CPU = torch.device("cpu")


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("rows_at_once", [1, 2, 8])
def test_it_is_the_mean_over_response_tokens(ours, rows_at_once):
    torch.manual_seed(0)
    model, reference = (TransformerLM(preset("test")).eval() if ours else torch.nn.Embedding(16, 16) for _ in range(2))
    terms = []
    for example in EXAMPLES:
        logits = [
            each(torch.tensor([example.token_ids]))[0, example.num_prompt_tokens - 1 : -1]
            for each in (model, reference)
        ]
        p, q = (each.detach().double().log_softmax(-1) for each in logits)
        terms += F.kl_div(q, p, reduction="none", log_target=True).sum(dim=-1).tolist()
    assert len(terms) == 9
    assert mean_kl(model, reference, EXAMPLES, CPU, rows_at_once) == pytest.approx(sum(terms) / 9, rel=1e-5)
    assert mean_kl(model, model, EXAMPLES, CPU) == 0.0 and mean_kl(model, reference, [], CPU) == 0.0


def test_tokens_that_neither_model_allows_add_nothing():
    def of(*logits):
        return lambda ids: torch.tensor(logits).expand(*ids.shape, 3)

    found = mean_kl(of(0.0, 0.0, -torch.inf), of(0.0, 1.0, -torch.inf), [ChatExample([0, 1, 0], 1)], CPU)
    wanted = F.kl_div(torch.tensor([0.0, 1.0]).log_softmax(0), torch.tensor([0.5, 0.5]), reduction="sum")
    assert found == pytest.approx(wanted.item(), rel=1e-5)
