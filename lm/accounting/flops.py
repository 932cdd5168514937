"""Floating-point operations of a model by component and phase, from the configuration alone: matrix products, a
multiplication and an addition counted as two.

Norms, RoPE, softmax and convolutions are left out: below 2% of the total for all but the smallest models.

Two conventions for attention, since the causal kernels do half of the work that published figures count:

    causal   each query with the keys before it and its own: (seq + 1) / 2 on average
    square   each query with all `seq` keys of the sequence (Chowdhery et al. 2022, appendix B; PaLM's MFU)

A layer with a window counts at most `window` keys a query in either. Products that write a mask out compute the square,
which is what `torch.utils.flop_counter` counts; tests hold every variant of the model to it.

The output layer counts the columns of `config.vocab_size`. Columns that pad the vocabulary for the hardware do not
count as the model's work.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Literal

from lm.accounting.parameters import attention_matrices, mlp_matrices, state_space_matrices
from lm.model.config import ModelConfig

Convention = Literal["causal", "square"]
Recomputation = Literal["none", "blocks", "selective"]
"""As in `lm.training.recomputation`; `selective` computes no product again."""


@dataclass(frozen=True, slots=True)
class FlopCount:
    """FLOPs by component. Projections are the matrices of attention; `attention` is scores and weighted values;
    `feed_forward` has the router of experts; `state_space` has its matrices and its scan.
    """

    projections: float = 0.0
    attention: float = 0.0
    state_space: float = 0.0
    feed_forward: float = 0.0
    head: float = 0.0

    @property
    def total(self) -> float:
        """Sum of the components."""
        return sum(astuple(self))

    @property
    def layers(self) -> float:
        """All but the output layer."""
        return self.total - self.head

    def shares(self) -> dict[str, float]:
        """Return each component's share of the total."""
        return {name: getattr(self, name) / self.total for name in self.__slots__}

    def times(self, factor: float) -> FlopCount:
        """Return all components multiplied by `factor`."""
        return FlopCount(*(factor * part for part in astuple(self)))


def forward_flops(config: ModelConfig, num_tokens: int = 0, *, convention: Convention = "causal") -> FlopCount:
    """Return the FLOPs of one sequence of `num_tokens` (0: the whole context) without a cache, logits of every token
    included.
    """
    seq = num_tokens or config.context_length
    return _count(config, seq, 0, convention, a_key=2 * config.d_head + config.d_rope, num_logits=seq)


def training_flops(
    config: ModelConfig,
    num_tokens: int = 0,
    *,
    convention: Convention = "causal",
    recompute: Recomputation = "none",
) -> FlopCount:
    """Return the FLOPs of forward and backward of one sequence. The backward is twice the forward: one product for the
    inputs' gradient and one for the weights'.

    With `recompute` blocks, the layers' forward runs twice. The output layer's does not, nor does the last product of a
    layer where nothing reads its result: torch stops there.
    """
    forward = forward_flops(config, num_tokens, convention=convention)
    count = forward.times(3.0)
    unused = config.num_layers_of("ssm") * _gradients_of_no_state(config, num_tokens or config.context_length)
    count = replace(count, state_space=count.state_space - unused)
    if recompute != "blocks":
        return count
    unread = config.norm_placement in ("pre", "none") and not config.num_experts
    kept = forward.feed_forward / (3 if config.is_gated else 2) if unread else 0.0
    return FlopCount(
        count.projections + forward.projections,
        count.attention + forward.attention,
        count.state_space + forward.state_space,
        count.feed_forward + forward.feed_forward - kept,
        count.head,
    )


def prefill_flops(config: ModelConfig, prompt_tokens: int, *, convention: Convention = "causal") -> FlopCount:
    """Return the FLOPs of one prompt with a cache, which needs the logits of its last token alone.

    Latent attention with a cache scores and mixes the latent vectors themselves (`lm.model.latent_attention`).
    """
    return _with_cache(config, prompt_tokens, 0, convention)


def decode_flops(config: ModelConfig, cached_tokens: int, *, convention: Convention = "causal") -> FlopCount:
    """Return the FLOPs of one new token after `cached_tokens`. Its keys are all in the cache, so that the conventions
    agree, except that a window ends what `causal` counts.
    """
    return _with_cache(config, 1, cached_tokens, convention)


def forward_flops_per_token(config: ModelConfig, num_tokens: int = 0, *, convention: Convention = "causal") -> float:
    """Return the FLOPs of one token in a sequence of `num_tokens` (0: the whole context), on average."""
    return forward_flops(config, num_tokens, convention=convention).total / (num_tokens or config.context_length)


def training_flops_per_token(
    config: ModelConfig,
    num_tokens: int = 0,
    *,
    convention: Convention = "causal",
    recompute: Recomputation = "none",
) -> float:
    """Return the FLOPs of forward and backward of one token, on average over the sequence."""
    count = training_flops(config, num_tokens, convention=convention, recompute=recompute)
    return count.total / (num_tokens or config.context_length)


def _with_cache(config: ModelConfig, num_queries: int, cached: int, convention: Convention) -> FlopCount:
    d_key = config.latent_rank + config.d_rope if config.latent_rank else config.d_head
    return _count(config, num_queries, cached, convention, a_key=2 * d_key, num_logits=1)


def _count(
    config: ModelConfig, num_queries: int, cached: int, convention: Convention, *, a_key: int, num_logits: int
) -> FlopCount:
    """Count `num_queries` tokens after `cached` ones; `a_key` multiplications pair a head's query with one key."""
    keys = config.num_layers_of("full") * _keys(num_queries, cached, 0, convention)
    keys += config.num_layers_of("window") * _keys(num_queries, cached, config.window, convention)
    scan = 2.0 * num_queries * state_space_matrices(config) + _scan(config, num_queries)
    return FlopCount(
        projections=2.0 * num_queries * config.num_attention_layers * attention_matrices(config),
        attention=2.0 * config.num_heads * a_key * keys,
        state_space=config.num_layers_of("ssm") * scan,
        feed_forward=2.0 * num_queries * config.num_layers * _active_feed_forward(config),
        head=2.0 * num_logits * config.vocab_size * config.d_model,
    )


def _keys(num_queries: int, cached: int, window: int, convention: Convention) -> float:
    """Return the pairs of a query and a key of one layer; at a `window` of 0 all keys before are attended to."""
    total = cached + num_queries
    window = min(window or total, total)
    if convention == "square":
        return float(num_queries * window)
    return _sum_of_capped(total, window) - _sum_of_capped(cached, window)


def _sum_of_capped(last: int, cap: int) -> float:
    """Return the sum of min(i, cap) over i = 1 … last."""
    rising = min(last, cap)
    return rising * (rising + 1) / 2 + (last - rising) * cap


def _active_feed_forward(config: ModelConfig) -> int:
    """Return the weights of a layer's feed-forward matrices that a token goes through."""
    if not config.num_experts:
        return mlp_matrices(config)
    return config.experts_per_token * mlp_matrices(config) + config.num_experts * config.d_model


def _scan(config: ModelConfig, num_tokens: int) -> float:
    """Return the FLOPs of a state-space layer's scan. Inside a chunk every pair of its tokens is computed, the tokens
    that pad the last chunk included; between chunks the state is made and read.
    """
    states = 2.0 * config.d_state * config.d_inner
    if num_tokens == 1:
        return states  # one step of the recurrence, whose state is made by multiplications alone
    chunk = min(config.chunk_length, num_tokens)
    padded = -(-num_tokens // chunk) * chunk
    return 2.0 * padded * (chunk * (config.d_state + config.d_inner) + states)


def _gradients_of_no_state(config: ModelConfig, num_tokens: int) -> float:
    """Return the FLOPs that a state-space layer's backward leaves out in a sequence of a single chunk: nothing reads
    the state after the chunk, and the state before it is constant.
    """
    if not 1 < num_tokens <= config.chunk_length:
        return 0.0
    return 3.0 * num_tokens * 2.0 * config.d_state * config.d_inner


def six_n_d(num_parameters: float, num_tokens: float) -> float:
    """Return 6 N D, the usual estimate of the FLOPs of a training (Kaplan et al. 2020, section 2.1)."""
    return 6.0 * num_parameters * num_tokens
