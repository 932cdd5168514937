"""The next token from logits: greedy, or drawn at a temperature from the top k or the nucleus.

A draw inverts the cumulative distribution at a uniform number that the caller gives, so a row's text depends on its
own numbers and not on which other rows share its batch.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

_BLOCK = 64
_COLDEST = 1e-30
"""Below this, 1 / temperature overflows float32; it draws the largest logit as any lower temperature does."""


def sample(
    logits: Float[Tensor, "batch vocab"],
    uniforms: Float[Tensor, " batch"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> tuple[Int[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Return token ids and their log-probabilities under the distribution they were drawn from.

    Temperature 0 is greedy: the largest logit, ties to the lowest id, and its log-probability at temperature 1.
    `uniforms` lie in [0, 1).
    """
    if temperature == 0.0:
        token_ids = logits.argmax(dim=-1)
        return token_ids, _gather(torch.log_softmax(logits.float(), dim=-1), token_ids)
    largest = logits.float().amax(dim=-1, keepdim=True)
    tempered = logits.float() if temperature == 1.0 else (logits.float() - largest) / max(temperature, _COLDEST)
    largest = largest if temperature == 1.0 else torch.zeros_like(largest)
    probs = torch.softmax(restrict(tempered, top_k=top_k, top_p=top_p), dim=-1)
    token_ids = invert_cdf(probs, uniforms)
    # The largest probability is 1 / Σ exp(logit − largest), so nothing is taken from a probability that underflowed.
    return token_ids, _gather(tempered, token_ids) - largest.squeeze(-1) + probs.amax(dim=-1).log()


def restrict(
    logits: Float[Tensor, "batch vocab"], *, top_k: int | None = None, top_p: float | None = None
) -> Float[Tensor, "batch vocab"]:
    """Return logits with −∞ outside the `top_k` largest and outside the nucleus: the fewest tokens whose probability
    reaches `top_p`.

    Ties at the k-th place stay in. The nucleus is taken after the top k. Source: Holtzman et al. 2020,
    arXiv:1904.09751.
    """
    if top_k is not None and top_k < logits.shape[-1]:
        kth = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if top_p is not None and top_p < 1.0:
        ordered, order = logits.sort(dim=-1, descending=True, stable=True)
        probs = ordered.softmax(dim=-1)
        # A token stays while the probability before it is short of top_p; so the first always stays.
        outside = probs.cumsum(dim=-1) - probs >= top_p
        logits = logits.masked_fill(outside.scatter(-1, order, outside), -torch.inf)
    return logits


def invert_cdf(probs: Float[Tensor, "batch vocab"], uniforms: Float[Tensor, " batch"]) -> Int[Tensor, " batch"]:
    """Return the first index whose cumulative probability exceeds u · total; never one of probability 0.

    In two levels, so that the vocabulary is read once: the sums of blocks of 64 probabilities in float32, the
    cumulative sum over blocks and that inside the chosen block in float64.
    """
    missing = -probs.shape[-1] % _BLOCK
    blocks = (F.pad(probs, (0, missing)) if missing else probs).unflatten(-1, (-1, _BLOCK))
    sums = blocks.sum(dim=-1).double()
    cdf = sums.cumsum(dim=-1)
    total = cdf[:, -1:]
    wanted = _below(uniforms.double()[:, None] * total, total)
    chosen = torch.searchsorted(cdf, wanted, right=True)
    inside = blocks[torch.arange(len(blocks), device=blocks.device), chosen.squeeze(-1)].double().cumsum(dim=-1)
    rest = _below((wanted - (cdf - sums).gather(-1, chosen)).clamp_min(0.0), inside[:, -1:])
    return (_BLOCK * chosen + torch.searchsorted(inside, rest, right=True)).squeeze(-1)


def _below(wanted: Tensor, total: Tensor) -> Tensor:
    """Return the wanted sum, below the total: rounding may lift it to the total itself, which no index exceeds."""
    return torch.minimum(wanted, torch.nextafter(total, torch.zeros_like(total)))


def _gather(values: Tensor, token_ids: Tensor) -> Tensor:
    return values.gather(-1, token_ids[:, None]).squeeze(-1)
