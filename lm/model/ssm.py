"""A state-space layer: Mamba-2 (Dao and Gu 2024, arXiv:2405.21060).

    z, u, B, C, dt = in_proj(x);   (u, B, C) pass a causal convolution over 4 tokens and SiLU
    Δ = softplus(dt + dt_bias),  a = exp(−Δ exp(a_log))           a number a head
    h_t = a_t h_{t−1} + Δ_t u_t B_tᵀ,   y_t = h_t C_t + D u_t      h is [d_head d_state] a head
    output_proj(norm(y · silu(z)))

B and C are shared by all heads. What the layer remembers does not grow with the tokens: the last 3 inputs of the
convolution and h. `recurrence` is the equation above, token by token; `chunked` gives the same by matrix products over
chunks (section 6: inside a chunk as attention with decay, between chunks by the state), which is what trains. All of it
in float32. At the border of two documents the state and the convolution begin anew.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lm.model.config import CONVOLUTION_TOKENS, ModelConfig
from lm.model.context import Context
from lm.model.linear import Linear
from lm.model.norm import make_norm
from lm.model.precision import widened

_DT_RANGE = (1e-3, 1e-1)
_DECAY_RANGE = (1.0, 16.0)


class StateSpaceLayer(nn.Module):
    """Mamba-2 with 2 d_model inner coordinates in heads of d_head, and `d_state` numbers a coordinate to remember."""

    def __init__(self, config: ModelConfig, layer_index: int = 0) -> None:
        super().__init__()
        self.layer_index, self.chunk_length = layer_index, config.chunk_length
        self.d_inner, self.d_state, self.d_head = config.d_inner, config.d_state, config.d_head
        num_heads, channels = config.d_inner // config.d_head, config.d_inner + 2 * config.d_state
        self.in_proj = Linear(config.d_model, config.d_inner + channels + num_heads)
        bound = CONVOLUTION_TOKENS**-0.5
        self.conv_weight = nn.Parameter(torch.empty(channels, 1, CONVOLUTION_TOKENS).uniform_(-bound, bound))
        self.conv_bias = nn.Parameter(torch.zeros(channels))
        self.a_log = nn.Parameter(torch.empty(num_heads).uniform_(*_DECAY_RANGE).log())
        self.dt_bias = nn.Parameter(_inverse_softplus(_log_uniform(num_heads, *_DT_RANGE)))
        self.skip = nn.Parameter(torch.ones(num_heads))
        self.norm = make_norm(config, config.d_inner)
        self.output_proj = Linear(config.d_inner, config.d_model)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], context: Context | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Mix each token with what the state remembers of those before."""
        context = context or Context()
        segments, cache = context.segments, context.kv_cache
        tail, state = cache.states.get(self.layer_index, (None, None)) if cache is not None else (None, None)
        gate, channels, dt = self.in_proj(x).split([self.d_inner, self.conv_bias.shape[0], self.a_log.shape[0]], dim=-1)
        with torch.autocast(x.device.type, enabled=False):
            convolved, tail = causal_convolution(widened(channels), self.conv_weight, self.conv_bias, tail, segments)
            u, b, c = F.silu(convolved).split([self.d_inner, self.d_state, self.d_state], dim=-1)
            u = rearrange(u, "batch seq (heads d_head) -> batch seq heads d_head", d_head=self.d_head)
            delta = F.softplus(widened(dt) + self.dt_bias)
            log_decay = -delta * self.a_log.exp()
            y, state = scan(u * delta[..., None], log_decay, b, c, state, segments, chunk_length=self.chunk_length)
            y = rearrange(y + u * self.skip[:, None], "batch seq heads d_head -> batch seq (heads d_head)")
            gated = self.norm(y * F.silu(widened(gate)))
        if cache is not None:
            cache.states[self.layer_index] = (tail, state)
        return self.output_proj(gated.to(x.dtype))


def causal_convolution(
    x: Float[Tensor, "batch seq channels"],
    weight: Float[Tensor, "channels 1 kernel"],
    bias: Float[Tensor, " channels"],
    tail: Float[Tensor, "batch before channels"] | None = None,
    segments: Int[Tensor, "batch seq"] | None = None,
) -> tuple[Float[Tensor, "batch seq channels"], Float[Tensor, "batch before channels"]]:
    """Return each channel's last `kernel` values, weighted, and the values that the next tokens need; `tail` are those
    before the first. Values of another segment count as 0.
    """
    kernel, seq = weight.shape[-1], x.shape[1]
    padded = F.pad(x, (0, 0, kernel - 1, 0)) if tail is None else torch.cat([tail, x], dim=1)
    total = bias + padded[:, kernel - 1 :] * weight[:, 0, -1]
    for back in range(1, kernel):
        earlier = padded[:, kernel - 1 - back : kernel - 1 - back + seq]
        if segments is not None:
            same = F.pad(segments, (back, 0), value=-1)[:, :seq] == segments
            earlier = earlier * same[..., None]
        total = total + earlier * weight[:, 0, -1 - back]
    return total, padded[:, seq:]


def scan(
    u: Float[Tensor, "batch seq heads d_head"],
    log_decay: Float[Tensor, "batch seq heads"],
    b: Float[Tensor, "batch seq d_state"],
    c: Float[Tensor, "batch seq d_state"],
    state: Float[Tensor, "batch heads d_head d_state"] | None = None,
    segments: Int[Tensor, "batch seq"] | None = None,
    *,
    chunk_length: int,
) -> tuple[Float[Tensor, "batch seq heads d_head"], Float[Tensor, "batch heads d_head d_state"]]:
    """Run `chunked` where there is more than one token, else one step of `recurrence`."""
    if state is None:
        state = u.new_zeros(u.shape[0], u.shape[2], u.shape[3], b.shape[-1])
    if u.shape[1] == 1:
        return recurrence(u, log_decay, b, c, state, segments)
    return chunked(u, log_decay, b, c, state, segments, chunk_length=chunk_length)


def recurrence(
    u: Tensor, log_decay: Tensor, b: Tensor, c: Tensor, state: Tensor, segments: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compute h_t = exp(log_decay_t) h_{t−1} + u_t b_tᵀ, y_t = h_t c_t, token by token; tests hold `chunked` to it."""
    outputs = []
    for t in range(u.shape[1]):
        decay = log_decay[:, t].exp()
        if segments is not None and t:
            decay = decay * (segments[:, t] == segments[:, t - 1])[:, None]
        state = decay[..., None, None] * state + torch.einsum("b h p, b n -> b h p n", u[:, t], b[:, t])
        outputs.append(torch.einsum("b h p n, b n -> b h p", state, c[:, t]))
    return torch.stack(outputs, dim=1), state


def chunked(
    u: Tensor,
    log_decay: Tensor,
    b: Tensor,
    c: Tensor,
    state: Tensor,
    segments: Tensor | None = None,
    *,
    chunk_length: int,
) -> tuple[Tensor, Tensor]:
    """Return the same by chunks of `chunk_length` tokens. With L the running sum of log_decay inside a chunk:

    y_t = Σ_{s ≤ t} exp(L_t − L_s) (c_t · b_s) u_s + exp(L_t) h_before c_t
    h_after = exp(L_end) h_before + Σ_s exp(L_end − L_s) u_s b_sᵀ
    """
    seq, size = u.shape[1], min(chunk_length, u.shape[1])
    # What pads the last chunk neither decays the state nor adds to it.
    u, log_decay, b, c = (_in_chunks(part, size) for part in (u, log_decay, b, c))
    inside, from_before, to_end, through = _reach(segments, seq, size, u.device)
    sums = _running_sum(log_decay)  # [batch chunks size heads]
    apart = rearrange(sums, "b c t h -> b h c t 1") - rearrange(sums, "b c s h -> b h c 1 s")
    decays = apart.masked_fill(~inside, -math.inf).exp()
    scores = torch.einsum("b c t n, b c s n -> b c t s", c, b)
    y = torch.einsum("b h c t s, b c s h p -> b c t h p", decays * scores[:, None], u)
    kept = (sums[:, :, -1:] - sums).exp() * to_end[..., None]
    added = torch.einsum("b c s h p, b c s n -> b c h p n", u * kept[..., None], b)
    whole = sums[:, :, -1].exp() * through[..., None]
    before = []
    for chunk in range(u.shape[1]):
        before.append(state)
        state = whole[:, chunk, :, None, None] * state + added[:, chunk]
    remembered = torch.einsum("b c t n, b c h p n -> b c t h p", c, torch.stack(before, dim=1))
    y = y + remembered * (sums.exp() * from_before[..., None])[..., None]
    return rearrange(y, "b c t h p -> b (c t) h p")[:, :seq], state


def _running_sum(x: Float[Tensor, "batch chunks size heads"]) -> Float[Tensor, "batch chunks size heads"]:
    """Return the running sum along a chunk; by a matrix of ones where equal bits are asked for, since torch's own sum
    has no such kernel on a GPU.
    """
    if torch.are_deterministic_algorithms_enabled():
        return torch.einsum("t s, b c s h -> b c t h", x.new_ones(x.shape[2], x.shape[2]).tril(), x)
    return x.cumsum(dim=2)


def _in_chunks(part: Tensor, size: int) -> Tensor:
    """Reshape [batch seq ...] to [batch chunks size ...], with zeros at the end."""
    missing = -part.shape[1] % size
    padded = F.pad(part, (0, 0) * (part.ndim - 2) + (0, missing))
    return padded.unflatten(1, (-1, size))


def _reach(segments: Tensor | None, seq: int, size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the masks of a chunk: tokens that see each other, `[batch 1 chunks size size]`; tokens that see the state
    before the chunk, and tokens that reach its end, `[batch chunks size]`; and whether the state passes through the
    chunk, `[batch chunks]`.
    """
    causal = torch.ones(size, size, dtype=torch.bool, device=device).tril()
    if segments is None:
        segments = torch.zeros(1, seq, dtype=torch.long, device=device)
    # The padding belongs to the last segment; the state before the first chunk to the first one.
    padded = F.pad(segments.float()[:, None], (0, -seq % size), mode="replicate")[:, 0].unflatten(1, (-1, size))
    last = padded[:, :, -1]
    before = torch.cat([padded[:, :1, 0], last[:, :-1]], dim=1)
    inside = (padded[:, :, :, None] == padded[:, :, None, :]) & causal
    return inside[:, None], padded == before[..., None], padded == last[..., None], last == before


def _log_uniform(size: int, low: float, high: float) -> Tensor:
    return torch.empty(size).uniform_(math.log(low), math.log(high)).exp()


def _inverse_softplus(x: Tensor) -> Tensor:
    return x + torch.log(-torch.expm1(-x))
