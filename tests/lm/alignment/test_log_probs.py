"""Log-probabilities and entropies against their formulas, under Loam's model, any module and one of `transformers`."""

import math

import pytest
import torch

from lm.alignment import response_log_probs, token_entropy
from lm.alignment.log_probs import CausalLM, logits_of
from lm.errors import InputError
from lm.model import TransformerLM, preset


class Bigrams(torch.nn.Module):
    """A module that is no Transformer: each token's logits come from its id alone."""

    def __init__(self, vocab=16):
        super().__init__()
        self.table = torch.nn.Embedding(vocab, vocab)

    def forward(self, ids):
        return self.table(ids)


IDS = torch.tensor([[3, 4, 5, 6], [9, 8, 7, 6]])


@pytest.fixture(params=["ours", "module", "transformers"])
def model(request):
    torch.manual_seed(0)
    if request.param == "ours":
        return TransformerLM(preset("test")).eval()
    if request.param == "module":
        return Bigrams()
    transformers = pytest.importorskip("transformers")
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=16, **shape)).eval()


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_every_model_gives_its_own_log_probabilities(model, temperature):
    assert isinstance(model, CausalLM)
    ids, labels = IDS[:, :-1], IDS[:, 1:]
    found = response_log_probs(model, ids, labels, return_entropy=True, temperature=temperature)
    probs = torch.softmax(logits_of(model, ids) / temperature, dim=-1)
    torch.testing.assert_close(found["log_probs"], probs.gather(-1, labels[..., None]).squeeze(-1).log())
    torch.testing.assert_close(found["token_entropy"], -(probs * probs.log()).sum(-1))
    assert response_log_probs(model, ids, labels).keys() == {"log_probs"}


def test_a_mask_leaves_the_other_positions_zero_and_without_gradient(model):
    ids, labels, mask = IDS[:, :-1], IDS[:, 1:], torch.tensor([[False, True, True], [False, False, True]])
    whole = response_log_probs(model, ids, labels)["log_probs"]
    masked = response_log_probs(model, ids, labels, mask=mask)["log_probs"]
    torch.testing.assert_close(masked, whole * mask)
    model.zero_grad()
    masked.sum().backward()
    by_mask = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    (response_log_probs(model, ids, labels)["log_probs"] * mask).sum().backward()
    for one, other in zip(by_mask, (p.grad for p in model.parameters() if p.grad is not None), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_entropy_of_known_distributions():
    logits = torch.log(torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]))
    logits.requires_grad_()
    entropy = token_entropy(logits + 100)
    torch.testing.assert_close(entropy, torch.tensor([math.log(4), math.log(2), 0.0]), atol=1e-5, rtol=0)
    entropy[0].backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("output", [None, "logits", torch.zeros(2, 16), torch.zeros(2, 2, 16)])
def test_a_model_without_logits_of_this_shape_is_refused(output):
    with pytest.raises(InputError, match=r"expected logits \[2, 3, 'vocab'\]"):
        logits_of(lambda ids: output, IDS[:, :-1])
