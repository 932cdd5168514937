"""Activation memory: the bytes that autograd keeps of one token between the forward and the backward pass, by part.

The float32 counts are held to the tensors that autograd really saves by `tests/lm/accounting/test_accounting.py`, for
every variant of the model. Those under bfloat16 autocast are derived from the same lists with 2 bytes for the inputs of
matrix products, and not measured yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lm.model.config import ModelConfig

Precision = Literal["float32", "bfloat16"]
Device = Literal["cpu", "cuda"]
FLOAT32 = 4
_INT64 = 8


def activation_bytes_per_token(config: ModelConfig, precision: Precision = "float32") -> int:
    """Return the bytes from the embedding to the loss, in a sequence of a whole context."""
    parts = _Parts(config, FLOAT32 if precision == "float32" else 2)
    layers = (
        config.num_layers * (parts.norms() + parts.feed_forward())
        + config.num_attention_layers * parts.mixer(is_state_space=False)
        + config.num_layers_of("ssm") * parts.mixer(is_state_space=True)
    )
    final = parts.norm(config.d_model) if config.norm_placement in ("pre", "sandwich") else 0
    # The gradient that the fused output layer has made already, and the id.
    return layers + final + parts.product * config.d_model + _INT64


def recomputed_bytes_per_token(
    config: ModelConfig, precision: Precision = "float32", *, selective: bool = False, device: Device = "cuda"
) -> tuple[int, int]:
    """Return the bytes that are kept where layers are computed again, and the most that the backward pass adds.

    Kept are the inputs of the layers and, where recomputation is `selective`, the results of products and of attention.
    The backward pass adds one layer's own activations and the gradients that its feed-forward layer makes on the way.
    It comes from the last layer, and by then the results of the layers behind are gone. On a CPU one expert comes after
    the other; each is counted with as many tokens.
    """
    parts = _Parts(config, FLOAT32 if precision == "float32" else 2)
    results = most = 0
    for index in range(config.num_layers):
        is_state_space = config.layer_kind(index) == "ssm"
        most = max(most, results + parts.norms() + parts.feed_forward() + parts.mixer(is_state_space))
        results += selective * parts.products(is_state_space)
    widened = 2 * parts.product * config.d_ff
    if config.num_experts:
        at_once = config.num_experts if device == "cpu" else 1
        widened = widened * config.experts_per_token // at_once
    return FLOAT32 * config.d_model * (config.num_layers + 1) + results + _INT64, most - results + widened


def mask_bytes(config: ModelConfig) -> int:
    """Return the bytes of the masks of a microbatch of any size: layers with a window write theirs out, in the type of
    the scores.
    """
    needed = config.window < config.context_length
    return config.num_layers_of("window") * needed * config.context_length**2 * FLOAT32


@dataclass(frozen=True, slots=True)
class _Parts:
    """Bytes of one layer's parts; `product` is the size of a number that a matrix product reads."""

    config: ModelConfig
    product: int

    def norm(self, size: int, vectors: int = 1) -> int:
        """Return the bytes of the input and the statistics of `vectors` norms over `size` numbers together; of RMSNorm
        in float32 also those of the normalized vector.
        """
        if self.config.norm == "layer":
            return FLOAT32 * (size + 2 * vectors)
        return FLOAT32 * (size * (2 if self.product == FLOAT32 else 1) + vectors)

    def norms(self) -> int:
        """Return the bytes of all norms of the stream in a layer."""
        number = {"pre": 2, "post": 2, "sandwich": 4, "none": 0}[self.config.norm_placement]
        return number * self.norm(self.config.d_model)

    def attention(self) -> int:
        """Return the bytes of the stream, q, k, v and the result with its normalizers."""
        config, d_kv = self.config, self.config.num_kv_heads * self.config.d_head
        normed = self.norm(config.d_attention, config.num_heads) + self.norm(d_kv, config.num_kv_heads)
        kept = self.product * (config.d_model + 2 * config.d_attention + 2 * d_kv)
        return kept + FLOAT32 * config.num_heads + (normed if config.qk_norm else 0)

    def latent_attention(self) -> int:
        """Return the bytes of the stream; the latent vectors before and after their norms; q, k, values padded to their
        length, and the result, also without the padding.
        """
        config = self.config
        heads = 4 * config.num_heads * (config.d_head + config.d_rope)
        queries = self.norm(config.query_rank) + self.product * config.query_rank if config.query_rank else 0
        latent = self.norm(config.latent_rank) + self.product * (config.latent_rank + config.d_rope)
        joined = config.d_attention
        return self.product * (config.d_model + heads + joined) + FLOAT32 * config.num_heads + latent + queries

    def feed_forward(self) -> int:
        """Return the bytes of the stream and of W₁x and its activation; in a gated layer also W₃x and the product."""
        config, inner = self.config, (4 if self.config.is_gated else 2) * self.config.d_ff
        stream = self.product * config.d_model
        if not config.num_experts:
            return stream + self.product * inner
        routing = FLOAT32 * 3 * (config.num_experts + 1)
        # Of each choice: the expert, its weight (twice), its place in the order (twice); and what the expert keeps.
        choice = 3 * _INT64 + 2 * FLOAT32 + self.product * (config.d_model + inner) + FLOAT32 * config.d_model
        return stream + routing + config.experts_per_token * choice

    def state_space(self) -> int:
        """Return the bytes of the stream and of what `in_proj` makes of it; then in float32 of the convolution, the
        chunks and the gated norm.
        """
        config, inner, states = self.config, self.config.d_inner, self.config.d_state
        heads, channels = inner // config.d_head, inner + 2 * states
        chunk = min(config.chunk_length, config.context_length)
        projected = inner + channels + heads
        widened = 0 if self.product == FLOAT32 else inner + heads
        scan = 3 * channels + chunk * (2 * heads + 1) + 7 * heads + 2 * states + 6 * inner
        between = 2 * inner * states // chunk
        kept = self.product * (config.d_model + projected + inner) + FLOAT32 * (widened + scan + between)
        return kept + self.norm(inner)

    def mixer(self, is_state_space: bool) -> int:
        """Return the bytes of a layer's attention, or of its state-space layer."""
        if is_state_space:
            return self.state_space()
        return self.latent_attention() if self.config.latent_rank else self.attention()

    def products(self, is_state_space: bool) -> int:
        """Return the bytes of a layer's results of products and of attention, which alone are not computed again."""
        config = self.config
        feed_forward = (2 if config.is_gated else 1) * config.d_ff + config.d_model
        if config.num_experts:
            feed_forward = config.experts_per_token * feed_forward + 2 * config.num_experts
        if is_state_space:
            return self.product * feed_forward + self._state_space_products()
        heads, rotated = config.num_heads, config.num_heads * (config.d_head + config.d_rope)
        joined = config.d_attention + 2 * config.num_kv_heads * config.d_head
        if config.latent_rank:
            joined = config.query_rank + rotated + config.latent_rank + config.d_rope + 2 * config.d_attention
        result = rotated if config.latent_rank else config.d_attention
        return self.product * (feed_forward + joined + result + config.d_model) + FLOAT32 * heads

    def _state_space_products(self) -> int:
        """Return the bytes of both projections, and of the products within and between chunks."""
        config, inner, states = self.config, self.config.d_inner, self.config.d_state
        chunk = min(config.chunk_length, config.context_length)
        projected = 2 * inner + 2 * states + inner // config.d_head + config.d_model
        return self.product * projected + FLOAT32 * (chunk + 2 * inner + inner * states // chunk)
