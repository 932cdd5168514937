"""The shape of a model as a frozen dataclass; `lm.model.presets` has the shapes by name.

The defaults give a decoder-only Transformer of the Llama kind (pre-norm RMSNorm, RoPE, SwiGLU, no biases).
docs/model.md lists every switch with its paper and its test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError

LAYER_KINDS = ("full", "window", "ssm")
"""What a layer mixes tokens with: attention to all before, to the last `window`, or a state-space layer."""

CONVOLUTION_TOKENS = 4
"""Tokens that the convolution of a state-space layer reads, the token's own included."""

_GATED = ("swiglu", "geglu")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The shape of a `TransformerLM`; sizes left at 0 are filled in, so a written configuration is always explicit.

    Raises:
        ConfigurationError: a combination that cannot work, with the reason.
    """

    vocab_size: Annotated[int, Doc("Vocabulary size: number of token ids."), Range(1, 2**31)]
    context_length: Annotated[int, Doc("Maximum sequence length, in tokens."), Range(1, 2**24)]
    d_model: Annotated[int, Doc("Width of the residual stream."), Range(1, 2**20)]
    num_layers: Annotated[
        int, Doc("Number of layers, each with a token mixer and a feed-forward layer."), Range(1, 4_096)
    ]
    num_heads: Annotated[int, Doc("Number of query heads."), Range(1, 4_096)]
    num_kv_heads: Annotated[
        int,
        Doc(
            "Number of key and value heads: `num_heads` is multi-head attention, fewer is grouped-query, 1 is "
            "multi-query; 0 means `num_heads`."
        ),
        Range(0, 4_096),
    ] = 0
    d_head: Annotated[int, Doc("Dimensions per head; 0 means d_model / num_heads."), Range(0, 2**16)] = 0
    d_ff: Annotated[
        int,
        Doc(
            "Hidden width of the feed-forward layer. 0 means 8/3 d_model (gated) or 4 d_model (plain), rounded up to a "
            "multiple of 64. Both have equally many weights before rounding."
        ),
        Range(0, 2**22),
    ] = 0
    layer_pattern: Annotated[
        tuple[str, ...],
        Doc(
            "Layer kinds, repeated over all layers: full attention (full), sliding-window attention (window), state "
            "space (ssm). (window, window, full) gives every third layer full attention."
        ),
    ] = ("full",)
    window: Annotated[
        int,
        Doc("Attention window of a `window` layer, in tokens, including the current token."),
        Range(0, 2**24),
    ] = 0
    latent_rank: Annotated[
        int,
        Doc(
            "Multi-head latent attention: keys and values are computed from one vector of this length per token, "
            "which is cached in their place; 0 is ordinary attention."
        ),
        Range(0, 2**20),
    ] = 0
    query_rank: Annotated[
        int,
        Doc(
            "With `latent_rank`: length of the latent vector of the queries; 0 computes queries from the residual "
            "stream."
        ),
        Range(0, 2**20),
    ] = 0
    d_rope: Annotated[
        int,
        Doc(
            "With `latent_rank`: dimensions per head that carry the position (RoPE), in addition to d_head "
            "dimensions that do not."
        ),
        Range(0, 2**16),
    ] = 0
    qk_norm: Annotated[bool, Doc("Normalize the queries and keys of each head before RoPE (Qwen3).")] = False
    position: Annotated[
        Literal["rope", "none", "learned", "sinusoidal"],
        Doc(
            "Positional encoding: rotary (rope), none, or a vector added to each token embedding (learned or "
            "sinusoidal)."
        ),
    ] = "rope"
    rope_theta: Annotated[
        float, Doc("RoPE's base: pair k of d dimensions rotates by theta^(-2k/d) per position."), Range(above=0)
    ] = 10_000.0
    rope_layout: Annotated[
        Literal["interleaved", "half"],
        Doc("Dimensions that RoPE rotates together: (2k, 2k+1), or (k, k + d_head/2) as in Llama's published weights."),
    ] = "interleaved"
    rope_factor: Annotated[
        float,
        Doc("Llama 3's RoPE scaling: low-frequency pairs rotate this many times slower; 1 disables scaling."),
        Range(1),
    ] = 1.0
    rope_original_context: Annotated[
        int, Doc("With `rope_factor`: the original context length, which defines the low frequencies."), Range(0, 2**24)
    ] = 0
    norm: Annotated[Literal["rms", "layer"], Doc("RMSNorm, or LayerNorm with a bias.")] = "rms"
    norm_placement: Annotated[
        Literal["pre", "post", "sandwich", "none"],
        Doc(
            "Position of the norms: before each sublayer (pre), after the residual addition (post, as in 2017), "
            "before and after each sublayer (sandwich), or none."
        ),
    ] = "pre"
    scaled_residuals: Annotated[
        bool,
        Doc("Scale the initial projections onto the residual stream by 1/sqrt(2 num_layers) (GPT-2)."),
    ] = False
    norm_epsilon: Annotated[float, Doc("Epsilon of every norm, added under the square root."), Range(above=0)] = 1e-5
    bias: Annotated[bool, Doc("Biases in the matrices of attention and feed-forward layers (GPT-2).")] = False
    ffn: Annotated[
        Literal["swiglu", "geglu", "relu2", "silu", "gelu"],
        Doc("Feed-forward layer: gated by SiLU or GELU (swiglu, geglu), or plain with squared ReLU, SiLU or GELU."),
    ] = "swiglu"
    num_experts: Annotated[
        int,
        Doc("Number of experts of each layer (mixture of experts); 0 is one dense feed-forward layer."),
        Range(0, 2**16),
    ] = 0
    experts_per_token: Annotated[int, Doc("Experts per token (top-k routing)."), Range(1, 2**16)] = 2
    expert_balance: Annotated[
        Literal["loss", "bias", "none"],
        Doc("Load balancing of the experts: an auxiliary loss, a routing bias that follows the load, or none."),
    ] = "loss"
    balance_weight: Annotated[
        float, Doc("Weight of the auxiliary loss, or change of the routing bias per step."), Range(0)
    ] = 0.01
    d_state: Annotated[int, Doc("State-space layers: state size per channel."), Range(1, 2**16)] = 64
    chunk_length: Annotated[
        int,
        Doc(
            "State-space layers: tokens per chunk. Longer chunks need more compute in matrix products and fewer "
            "sequential steps."
        ),
        Range(1, 2**24),
    ] = 64
    tie_embeddings: Annotated[bool, Doc("Share one matrix between the token embeddings and the output layer.")] = False
    logit_soft_cap: Annotated[
        float, Doc("Soft cap of the logits: cap * tanh(logit / cap); 0 disables it."), Range(0)
    ] = 0.0
    base_width: Annotated[
        int,
        Doc(
            "Width scaling (muP): d_model of the base model whose learning rate transfers to this model. The two may "
            "differ only in width and number of heads, not in d_head. Not with latent attention. 0 disables scaling."
        ),
        Range(0, 2**20),
    ] = 0
    separate_documents: Annotated[
        bool,
        Doc(
            "Trained on separate documents, by document masks or padded packing: the model is then scored on each "
            "document separately."
        ),
    ] = False
    attention: Annotated[
        Literal["fused", "reference"],
        Doc(
            "`fused` uses fused attention kernels, `reference` the explicit formula; the results agree up to rounding."
        ),
    ] = "fused"

    def __post_init__(self) -> None:
        settle(self, "model")
        self._fill_in()
        self._check_layers()
        self._check_heads()
        self._check_positions()
        self._check_latent()
        self._check_experts()

    def layer_kind(self, layer_index: int) -> str:
        """Return `full`, `window` or `ssm`."""
        return self.layer_pattern[layer_index % len(self.layer_pattern)]

    def window_of(self, layer_index: int) -> int:
        """Return the number of attended keys of this layer; 0 is all."""
        return self.window if self.layer_kind(layer_index) == "window" else 0

    def num_layers_of(self, *kinds: str) -> int:
        """Return the number of layers of these kinds."""
        return sum(self.layer_kind(index) in kinds for index in range(self.num_layers))

    @property
    def num_attention_layers(self) -> int:
        """Layers that keep keys and values."""
        return self.num_layers - self.num_layers_of("ssm")

    @property
    def is_gated(self) -> bool:
        """Return whether the feed-forward layer has a third matrix."""
        return self.ffn in _GATED

    @property
    def d_attention(self) -> int:
        """Coordinates of all heads together, what the output projection of attention reads."""
        return self.num_heads * self.d_head

    @property
    def cache_shape(self) -> tuple[int, int, int]:
        """Return the cached sizes of a token in attention: heads, coordinates of a key, coordinates of a value."""
        if self.latent_rank:
            return 1, self.latent_rank + self.d_rope, 0
        return self.num_kv_heads, self.d_head, self.d_head

    @property
    def d_inner(self) -> int:
        """Width of a state-space layer, twice that of the stream."""
        return 2 * self.d_model

    @property
    def logit_scale(self) -> float:
        """Return the factor of the stream before the output layer: base_width / d_model under muP, else 1."""
        return 1.0 / self.width_ratio

    @property
    def width_ratio(self) -> float:
        """d_model / base_width under muP, else 1."""
        return self.d_model / self.base_width if self.base_width else 1.0

    def _fill_in(self) -> None:
        if self.num_kv_heads == 0:
            object.__setattr__(self, "num_kv_heads", self.num_heads)
        if self.d_head == 0:
            if self.d_model % self.num_heads:
                raise ConfigurationError(f"model.num_heads: {self.num_heads} does not divide d_model = {self.d_model}")
            object.__setattr__(self, "d_head", self.d_model // self.num_heads)
        if self.d_ff == 0:
            object.__setattr__(self, "d_ff", default_d_ff(self.d_model, self.is_gated))

    def _check_heads(self) -> None:
        if self.num_heads % self.num_kv_heads:
            raise ConfigurationError(
                f"model.num_kv_heads: {self.num_kv_heads} does not divide num_heads = {self.num_heads}"
            )
        if self.position == "rope" and not self.latent_rank and self.num_attention_layers and self.d_head % 2:
            raise ConfigurationError(
                f"model.d_head: {self.d_head} dimensions per head (d_model = {self.d_model}, {self.num_heads} heads), "
                "which RoPE cannot pair; expected an even number"
            )

    def _check_positions(self) -> None:
        if self.position == "sinusoidal" and self.d_model % 2:
            raise ConfigurationError(f"model.d_model: {self.d_model}, expected an even number for sines and cosines")
        if self.rope_factor > 1:
            self._expect("rope_factor", self.position == "rope", f"1 with position = {self.position}")
            self._expect(
                "rope_original_context", self.rope_original_context > 0, "more than 0 with rope_factor above 1"
            )
        else:
            self._expect("rope_original_context", self.rope_original_context == 0, "0 with rope_factor = 1")

    def _check_latent(self) -> None:
        if not self.latent_rank:
            for name in ("query_rank", "d_rope"):
                self._expect(name, getattr(self, name) == 0, "0 without latent_rank")
            return
        self._expect(
            "num_kv_heads", self.num_kv_heads == self.num_heads, "num_heads: latent attention has no shared heads"
        )
        self._expect("qk_norm", not self.qk_norm, "false: latent attention normalizes the latent vectors")
        self._expect("bias", not self.bias, "false: latent attention has no biases")
        self._expect("base_width", self.base_width == 0, "0: the latent vectors do not grow with the width")
        even = self.d_rope > 0 and self.d_rope % 2 == 0
        if self.position == "rope":
            self._expect(
                "d_rope", even, "an even number above 0: latent attention has separate dimensions for positions"
            )
        else:
            self._expect("d_rope", self.d_rope == 0, f"0 with position = {self.position}")

    def _check_layers(self) -> None:
        kinds = len(self.layer_pattern)
        self._expect("layer_pattern", 0 < kinds <= self.num_layers, f"1 to num_layers = {self.num_layers} kinds")
        for kind in self.layer_pattern:
            if kind not in LAYER_KINDS:
                raise ConfigurationError(f"model.layer_pattern: '{kind}', expected one of {', '.join(LAYER_KINDS)}")
        windowed = self.num_layers_of("window") > 0
        self._expect("window", windowed == (self.window > 0), "above 0 if layer_pattern has window layers, else 0")
        if self.num_layers_of("ssm"):
            self._expect("d_head", self.d_model * 2 % self.d_head == 0, "a divisor of 2 d_model, an ssm layer's width")

    def _check_experts(self) -> None:
        if self.num_experts:
            most = self.num_experts
            self._expect("experts_per_token", self.experts_per_token <= most, f"at most num_experts = {most}")
            self._expect("bias", not self.bias, "false: experts have no biases")

    def _expect(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ConfigurationError(f"model.{name}: {getattr(self, name)}, expected {expected}")


def default_d_ff(d_model: int, gated: bool = True) -> int:
    """Return 8/3 d_model for three matrices, 4 d_model for two, rounded up to a multiple of 64."""
    return -(-8 * d_model // ((3 if gated else 2) * 64)) * 64
