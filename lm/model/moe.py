"""Mixture of experts: each token goes through the few feed-forward layers that a router chooses for it, and none is
dropped.

    p = softmax(W_router x)  in float32;   the k experts with the largest p (+ bias, with `expert_balance` bias)
    y = Σ_chosen  p_e / Σ_chosen p · expert_e(x),   for k = 1 without the division: y = p_e · expert_e(x)

(Shazeer et al. 2017; weights renormalized as in Jiang et al. 2024; a single one is the probability itself, as in Fedus
et al. 2021, since a weight that is always 1 would teach the router nothing.) The choices are sorted by expert, so every
expert is one matrix product over just its tokens, however uneven they fall ("dropless", Gale et al. 2022).

Two ways to keep the experts equally busy:

Padding (`Context.counted`) goes through the experts and counts in neither.

- `loss`: E Σ_e f_e P_e, f_e the share of choices and P_e the mean probability of expert e (Fedus et al. 2021, eq. 4; 1
  when even). `TransformerLM.auxiliary_loss` gives the sum over the layers times `balance_weight`.
- `bias`: no gradient; after each step the bias of an expert that had more than its share falls by `balance_weight`, of
  one that had less rises (Wang et al. 2024, arXiv:2408.15664). `TransformerLM.balance_experts` does it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lm.model.attention import softmax
from lm.model.config import ModelConfig
from lm.model.context import Context, Routing
from lm.model.linear import Linear, linear_std, truncated_normal_
from lm.model.mlp import activation, gated
from lm.model.precision import widened

_ALIGNMENT = 8
"""The grouped product takes rows of a multiple of 16 bytes."""


class MixtureOfExperts(nn.Module):
    """`num_experts` feed-forward layers and their router; matrices of all experts lie in one tensor, experts first."""

    expert_bias: Tensor | None
    load: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.ffn = config.ffn
        self.num_experts, self.experts_per_token = config.num_experts, config.experts_per_token
        self.router = Linear(config.d_model, config.num_experts)
        self.w1 = _expert_matrices(config, config.d_ff, config.d_model)
        self.w2 = _expert_matrices(config, config.d_model, config.d_ff)
        self.w3 = _expert_matrices(config, config.d_ff, config.d_model) if config.is_gated else None
        self.register_buffer("expert_bias", torch.zeros(self.num_experts) if config.expert_balance == "bias" else None)
        self.reset_buffers()

    def reset_buffers(self, device: torch.device | None = None) -> None:
        """Forget the loads since the last `balance`, which are not part of a saved state."""
        self.register_buffer("load", torch.zeros(self.num_experts, device=device), persistent=False)

    def forward(
        self, x: Float[Tensor, "*axes d_model"], context: Context | None = None
    ) -> Float[Tensor, "*axes d_model"]:
        """Send every token through its experts; the routing is noted in the context."""
        tokens = x.reshape(-1, x.shape[-1])
        probabilities, chosen, weights = self.route(tokens)
        if context is not None:
            context.routing.append(self._routing(probabilities, chosen, context.counted))
        order = chosen.flatten().argsort(stable=True)
        outputs = self._experts(tokens[order // self.experts_per_token], self._load(chosen))
        # Put back in the order of the tokens rather than added where they belong, which no GPU does in a fixed order.
        outputs = outputs[order.argsort()].unflatten(0, (-1, self.experts_per_token))
        return (outputs * weights[..., None]).sum(dim=1).to(x.dtype).view_as(x)

    def route(
        self, tokens: Float[Tensor, "tokens d_model"]
    ) -> tuple[Float[Tensor, "tokens experts"], Int[Tensor, "tokens chosen"], Float[Tensor, "tokens chosen"]]:
        """Return the probability of every expert, the experts that each token goes through, and their weights."""
        with torch.autocast(tokens.device.type, enabled=False):  # a choice must not hang on bfloat16's rounding
            logits = F.linear(widened(tokens), widened(self.router.weight))
        probabilities = softmax(logits)
        scores = probabilities if self.expert_bias is None else probabilities + self.expert_bias
        chosen = scores.topk(self.experts_per_token, dim=-1).indices
        if self.experts_per_token == 1:
            return probabilities, chosen, probabilities.gather(-1, chosen)
        # p_e / Σ p without the quotient, which is 0 / 0 where biases choose experts whose probabilities underflow.
        return probabilities, chosen, softmax(logits.gather(-1, chosen))

    @torch.no_grad()
    def balance(self, rate: float) -> None:
        """Move the bias of every expert by `rate` towards an even load, and start counting anew."""
        if self.expert_bias is not None:
            self.expert_bias += rate * torch.sign(self.load.mean() - self.load)
        self.load.zero_()

    def _routing(self, probabilities: Tensor, chosen: Tensor, counted: Tensor | None) -> Routing:
        """Return the balancing term and the load of the tokens that count."""
        counts = torch.ones_like(probabilities[:, 0]) if counted is None else counted.flatten().to(probabilities.dtype)
        load = self._load(chosen, counted)
        num_tokens = counts.sum().clamp(min=1)
        share = load.to(probabilities.dtype) / (num_tokens * self.experts_per_token)
        mean = (probabilities * counts[:, None]).sum(dim=0) / num_tokens
        return Routing(self.num_experts * (share * mean).sum(), load)

    def _load(self, chosen: Tensor, counted: Tensor | None = None) -> Int[Tensor, " experts"]:
        """Return the number of choices of each expert; added up, since torch.bincount waits for the GPU and breaks the
        compiler's graph.
        """
        ones = torch.ones_like(chosen) if counted is None else counted.flatten()[:, None].expand_as(chosen).to(chosen)
        empty = torch.zeros(self.num_experts, dtype=chosen.dtype, device=chosen.device)
        return empty.scatter_add(0, chosen.flatten(), ones.flatten())

    def _experts(self, rows: Float[Tensor, "rows d_model"], load: Int[Tensor, " experts"]) -> Tensor:
        """Send rows, sorted by expert, each through its own expert."""
        aligned = all(size % _ALIGNMENT == 0 for size in self.w1.shape[1:])
        if rows.is_cuda and torch.is_autocast_enabled("cuda") and aligned:
            return self._grouped(rows, load.cumsum(0).to(torch.int32))
        parts = rows.split(load.tolist())
        return torch.cat([self._one(part, *weights) for part, weights in zip(parts, self._weights(), strict=True)])

    def _weights(self) -> list[tuple[Tensor, Tensor, Tensor | None]]:
        """Return W₁, W₂ and W₃ of each expert. The gradient of `unbind` is written once; that of indexing is a tensor
        as large as all experts for each of them.
        """
        w3 = [None] * self.num_experts if self.w3 is None else self.w3.unbind()
        return list(zip(self.w1.unbind(), self.w2.unbind(), w3, strict=True))

    def _one(self, x: Tensor, w1: Tensor, w2: Tensor, w3: Tensor | None) -> Tensor:
        inner = activation(self.ffn, F.linear(x, w1))
        if w3 is not None:
            inner = inner * F.linear(x, w3)
        return F.linear(inner, w2)

    def _grouped(self, rows: Tensor, ends: Tensor) -> Tensor:
        """Run all experts in one kernel, without waiting for the loads on the CPU."""
        dtype = torch.get_autocast_dtype("cuda")
        rows, w2 = rows.to(dtype), self.w2.to(dtype).mT
        if self.w3 is None:
            return F.grouped_mm(
                activation(self.ffn, F.grouped_mm(rows, self.w1.to(dtype).mT, offs=ends)), w2, offs=ends
            )
        joined = torch.cat([self.w1.to(dtype), self.w3.to(dtype)], dim=1).mT
        return F.grouped_mm(gated(self.ffn, F.grouped_mm(rows, joined, offs=ends)), w2, offs=ends)


def mixture_reference(moe: MixtureOfExperts, x: Float[Tensor, "tokens d_model"]) -> Float[Tensor, "tokens d_model"]:
    """Compute the formula written out: every token through every expert, weighted by 0 where it was not chosen; tests
    hold the module to it.
    """
    probabilities, chosen, _ = moe.route(x)
    weights = probabilities * torch.zeros_like(probabilities).scatter(-1, chosen, 1.0)
    if moe.experts_per_token > 1:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    outputs = torch.stack([moe._one(x, *weights) for weights in moe._weights()], dim=1)
    return torch.einsum("t e, t e d -> t d", weights, outputs)


def _expert_matrices(config: ModelConfig, d_out: int, d_in: int) -> nn.Parameter:
    weight = torch.empty(config.num_experts, d_out, d_in)
    return nn.Parameter(truncated_normal_(weight, linear_std(d_in, d_out)))
