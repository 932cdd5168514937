"""The Transformer: token ids in, logits of the next token out.

    x = token_embeddings[ids]
    for each layer:  x += attn(ln1(x));  x += ffn(ln2(x))        pre-norm: the residual stream is never normalized
    logits = lm_head(ln_final(x))

State names: `token_embeddings`, `layers.N.attn.{q,k,v,output}_proj`, `layers.N.ln1`, `layers.N.ffn.{w1,w2,w3}`,
`layers.N.ln2`, `ln_final`, `lm_head` (absent from a saved state where the embeddings are tied).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lm.errors import ConfigurationError
from lm.model.attention import CausalSelfAttention, KVCache, causal_mask
from lm.model.config import ModelConfig
from lm.model.linear import Embedding, Linear, linear_std
from lm.model.mlp import SwiGLU
from lm.model.norm import RMSNorm
from lm.model.rope import RotaryEmbedding


class TransformerBlock(nn.Module):
    """One layer: attention, then feed-forward, each on the normalized stream and added to it."""

    def __init__(self, config: ModelConfig, layer_index: int) -> None:
        super().__init__()
        self.ln1 = RMSNorm(config.d_model, config.norm_epsilon)
        self.attn = CausalSelfAttention(config, layer_index)
        self.ln2 = RMSNorm(config.d_model, config.norm_epsilon)
        self.ffn = SwiGLU(config.d_model, config.d_ff)

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        rope: RotaryEmbedding,
        tables: tuple[Tensor, Tensor],
        mask: Bool[Tensor, "#batch 1 seq keys"] | None = None,
        kv_cache: KVCache | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """The stream after this layer."""
        x = x + self.attn(self.ln1(x), rope, tables, mask, kv_cache)
        return x + self.ffn(self.ln2(x))


class TransformerLM(nn.Module):
    """A decoder-only language model of the shape `config`; the weights are drawn from torch's global generator."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        # A tied matrix must also serve as the output layer: entries of size 1 would make the first logits sqrt(d_model)
        # large.
        std = linear_std(config.d_model, config.vocab_size) if config.tie_embeddings else 1.0
        self.token_embeddings = Embedding(config.vocab_size, config.d_model, std)
        self.layers = nn.ModuleList(TransformerBlock(config, index) for index in range(config.num_layers))
        self.ln_final = RMSNorm(config.d_model, config.norm_epsilon)
        self.lm_head = Linear(config.d_model, config.vocab_size)
        if config.tie_embeddings:
            self.lm_head.weight = self.token_embeddings.weight
        self.rope = rotary_embedding(config)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.token_embeddings.weight.device

    @property
    def num_parameters(self) -> int:
        """Trainable numbers, a tied matrix counted once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(
        self,
        ids: Int[Tensor, "batch seq"],
        *,
        positions: Int[Tensor, "*batch seq"] | None = None,
        kv_cache: KVCache | None = None,
        document_ids: Int[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq vocab"]:
        """Logits of the token after each of `ids`; the arguments are those of `hidden`."""
        return self.lm_head(self.hidden(ids, positions=positions, kv_cache=kv_cache, document_ids=document_ids))

    def hidden(
        self,
        ids: Int[Tensor, "batch seq"],
        *,
        positions: Int[Tensor, "*batch seq"] | None = None,
        kv_cache: KVCache | None = None,
        document_ids: Int[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """The normalized stream after the last layer, what `lm_head` reads.

        Args:
            positions: of the tokens, `[seq]` or `[batch seq]`; without them the tokens follow what the cache holds, or
                start at 0.
            kv_cache: keys and values of earlier tokens; takes the new ones.
            document_ids: a token looks only at tokens of its own document.

        Raises:
            ConfigurationError: more tokens than `context_length`, or document ids beside a cache.
        """
        tables = self.rope.tables(self._positions(ids, positions, kv_cache))
        mask = _attention_mask(ids.shape[1], kv_cache, document_ids)
        x = self.token_embeddings(ids)
        for layer in self.layers:
            x = layer(x, self.rope, tables, mask, kv_cache)
        return self.ln_final(x)

    def _positions(self, ids: Tensor, positions: Tensor | None, kv_cache: KVCache | None) -> Tensor:
        if positions is not None:
            return positions
        start = 0 if kv_cache is None else kv_cache.length
        end = start + ids.shape[1]
        if end > self.config.context_length:
            raise ConfigurationError(
                f"{end} tokens, more than the model's context_length = {self.config.context_length}"
            )
        return torch.arange(start, end, device=ids.device)


def rotary_embedding(config: ModelConfig) -> RotaryEmbedding:
    """RoPE's tables for a model of this shape."""
    return RotaryEmbedding(config.d_head, config.context_length, config.rope_theta, config.rope_layout)


def _attention_mask(num_queries: int, kv_cache: KVCache | None, document_ids: Tensor | None) -> Tensor | None:
    if kv_cache is not None:
        if document_ids is not None:
            raise ConfigurationError(
                "document_ids beside a kv_cache: the cache does not keep the documents of its keys"
            )
        return kv_cache.mask(num_queries)
    if document_ids is None:
        return None
    same = document_ids[:, None, :, None] == document_ids[:, None, None, :]
    return same & causal_mask(num_queries, num_queries, document_ids.device)
