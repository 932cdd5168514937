"""Parameter counts of a model, by part."""

from __future__ import annotations

from dataclasses import dataclass

from lm.model.config import CONVOLUTION_TOKENS, ModelConfig


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Weights by part; `output` is 0 where it is the embedding matrix. `embedding` has the learned positions too."""

    embedding: int
    attention: int
    state_space: int
    feed_forward: int
    norms: int
    output: int
    idle: int
    """Of `feed_forward`: experts that a token does not go through."""

    @property
    def total(self) -> int:
        """All weights."""
        layers = self.attention + self.state_space + self.feed_forward
        return self.embedding + layers + self.norms + self.output

    @property
    def active(self) -> int:
        """Weights that a token goes through."""
        return self.total - self.idle

    @property
    def non_embedding(self) -> int:
        """Weights of the layers, which scaling laws often count alone."""
        return self.attention + self.state_space + self.feed_forward + self.norms


def count_parameters(config: ModelConfig) -> ParameterCount:
    """Return the number of weights of `TransformerLM(config)` by part, without making it."""
    d, layers = config.d_model, config.num_layers
    embedding = config.vocab_size * d
    norms_a_layer = {"pre": 2, "post": 2, "sandwich": 4, "none": 0}[config.norm_placement]
    final = int(config.norm_placement in ("pre", "sandwich"))
    idle = max(0, config.num_experts - config.experts_per_token) * mlp_matrices(config)
    return ParameterCount(
        embedding=embedding + (config.context_length * d if config.position == "learned" else 0),
        attention=config.num_attention_layers * (attention_matrices(config) + _attention_vectors(config)),
        state_space=config.num_layers_of("ssm") * (state_space_matrices(config) + _state_space_vectors(config)),
        feed_forward=layers * (_mlp_vectors(config) + feed_forward_matrices(config)),
        norms=(norms_a_layer * layers + final) * _norm(config, d),
        output=0 if config.tie_embeddings else embedding,
        idle=layers * idle,
    )


def layer_matrices(config: ModelConfig) -> int:
    """Return the weights in matrices of all layers, which Muon trains: not embeddings, output layer and vectors."""
    mixers = config.num_attention_layers * attention_matrices(config)
    mixers += config.num_layers_of("ssm") * state_space_matrices(config)
    return mixers + config.num_layers * feed_forward_matrices(config)


def attention_matrices(config: ModelConfig) -> int:
    """Return the number of weights in the matrices of one attention layer: d (2 · heads + 2 · kv_heads) d_head, or
    those of latent attention.
    """
    d, mixed = config.d_model, config.d_attention
    if not config.latent_rank:
        return d * (2 * mixed + 2 * config.num_kv_heads * config.d_head)
    queries = mixed + config.num_heads * config.d_rope
    made_from = config.query_rank or d
    down = d * (config.query_rank + config.latent_rank + config.d_rope)
    return down + made_from * queries + 2 * config.latent_rank * mixed + mixed * d


def state_space_matrices(config: ModelConfig) -> int:
    """Return the number of weights in the two matrices of one state-space layer."""
    inner = config.d_inner
    return config.d_model * (2 * inner + 2 * config.d_state + inner // config.d_head) + inner * config.d_model


def mlp_matrices(config: ModelConfig) -> int:
    """Return the number of weights in the two or three matrices of one feed-forward layer, or of one expert."""
    return (3 if config.is_gated else 2) * config.d_model * config.d_ff


def feed_forward_matrices(config: ModelConfig) -> int:
    """Return the number of weights in all matrices of a layer's feed-forward part: all experts, and the router."""
    if not config.num_experts:
        return mlp_matrices(config)
    return config.num_experts * (mlp_matrices(config) + config.d_model)


def _attention_vectors(config: ModelConfig) -> int:
    if config.latent_rank:
        return _norm(config, config.latent_rank) + _norm(config, config.query_rank)
    biases = config.d_attention + 2 * config.num_kv_heads * config.d_head + config.d_model
    return (biases if config.bias else 0) + (2 * _norm(config, config.d_head) if config.qk_norm else 0)


def _state_space_vectors(config: ModelConfig) -> int:
    channels, heads = config.d_inner + 2 * config.d_state, config.d_inner // config.d_head
    return channels * (CONVOLUTION_TOKENS + 1) + 3 * heads + _norm(config, config.d_inner)


def _mlp_vectors(config: ModelConfig) -> int:
    return ((2 if config.is_gated else 1) * config.d_ff + config.d_model) if config.bias else 0


def _norm(config: ModelConfig, size: int) -> int:
    return size * (2 if config.norm == "layer" else 1)
