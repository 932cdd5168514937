"""The Transformer: token ids in, logits of the next token out.

    x = token_embeddings[ids]  (+ position_embeddings)
    for each layer:  x += attn(ln1(x));  x += ffn(ln2(x))        `lm.model.block` has the other placements
    logits = lm_head(ln_final(x))

State names: `token_embeddings`, `layers.N.attn.{q,k,v,output}_proj`, `layers.N.ln1`, `layers.N.ffn.{w1,w2,w3}`,
`layers.N.ln2`, `ln_final`, `lm_head` (absent from a saved state where the embeddings are tied). Parts that only some
models have: `position_embeddings`, `layers.N.attn.{q,k}_norm`, `layers.N.{ln1,ln2}_out`, `layers.N.ssm`,
`layers.N.ffn.router`. With norms after each part of a layer (post) or none at all there is no `ln_final`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lm.errors import ConfigurationError
from lm.kernels.backend import takes_gpu_path
from lm.kernels.padding import padded_logits
from lm.model.attention import kernel_attends
from lm.model.block import TransformerBlock
from lm.model.config import ModelConfig
from lm.model.context import Context, KVCache, Routing, attention_mask, document_segments, windowed
from lm.model.linear import Embedding, Linear
from lm.model.moe import MixtureOfExperts
from lm.model.norm import make_norm
from lm.model.positions import make_position_embedding
from lm.model.precision import autocast
from lm.model.rope import rotary_embedding
from lm.model.width import embedding_std, output_std


class TransformerLM(nn.Module):
    """A decoder-only language model of the shape `config`; the weights are drawn from torch's global generator."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        std = embedding_std(config)
        self.token_embeddings = Embedding(config.vocab_size, config.d_model, std)
        self.position_embeddings = make_position_embedding(config, std)
        self.layers = nn.ModuleList(TransformerBlock(config, index) for index in range(config.num_layers))
        has_final = config.norm_placement in ("pre", "sandwich")
        self.ln_final = make_norm(config, config.d_model, gives="weights") if has_final else None
        self.lm_head = Linear(config.d_model, config.vocab_size, std=output_std(config))
        if config.tie_embeddings:
            self.lm_head.weight = self.token_embeddings.weight
        self.rope = rotary_embedding(config) if config.position == "rope" else None
        self.compute_type = torch.float32
        """The type of matrix products; a run sets it. float32 leaves it to a surrounding autocast."""
        self.stream_type: torch.dtype | None = None
        """The type of the residual stream; None is that of the embeddings. A run sets it."""
        self.padded_head: Tensor | None = None
        """The output layer's weight with its vocabulary padded, where decoding has laid it out."""
        self._routing: tuple[Routing, ...] = ()

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        return self.token_embeddings.weight.device

    @property
    def cache_type(self) -> torch.dtype:
        """Return the type of keys and values: that of matrix products."""
        return self.token_embeddings.weight.dtype if self.compute_type == torch.float32 else self.compute_type

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
        """Return logits of the token after each of `ids`; the arguments are those of `hidden`."""
        return self.logits(self.hidden(ids, positions=positions, kv_cache=kv_cache, document_ids=document_ids))

    def hidden(
        self,
        ids: Int[Tensor, "batch seq"],
        *,
        positions: Int[Tensor, "*batch seq"] | None = None,
        kv_cache: KVCache | None = None,
        document_ids: Int[Tensor, "batch seq"] | None = None,
        counted: Bool[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Return the input of `logits`: the stream after the last layer, normalized (and under muP scaled).

        Args:
            positions: of the tokens, `[seq]` or `[batch seq]`, each from 0 to below `context_length` (unchecked: a
                check would make a GPU wait); without them the tokens follow what the cache holds, or start at 0.
            kv_cache: keys and values of earlier tokens; takes the new ones.
            document_ids: a token attends only to tokens of its own document, which are contiguous. Positions
                go on from document to document.
            counted: false for padding, which counts in no load of experts; None counts all tokens.

        Raises:
            ConfigurationError: without `positions` more tokens than `context_length`; `positions` that are not one a
                token; or document ids beside a cache.
        """
        places = self._positions(ids, positions, kv_cache)
        context = self._context(ids.shape[1], places, kv_cache, document_ids, counted)
        x = self.token_embeddings(ids)
        if self.position_embeddings is not None:
            x = x + self.position_embeddings(places)
        with autocast(ids.device, self.compute_type):
            x = self._through_layers(x if self.stream_type is None else x.to(self.stream_type), context)
        if kv_cache is not None:
            kv_cache.advance(ids.shape[1])
        x = x if self.ln_final is None else self.ln_final(x)
        return x * self.config.logit_scale if self.config.base_width else x

    def logits(self, hidden: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes vocab"]:
        """Return the logits, with the soft cap where there is one: cap · tanh(logit / cap) (Gemma Team 2024)."""
        with autocast(hidden.device, self.compute_type):
            logits = self._uncapped(hidden)
        cap = self.config.logit_soft_cap
        return cap * torch.tanh(logits / cap) if cap else logits

    def _uncapped(self, hidden: Tensor) -> Tensor:
        if self.padded_head is not None:
            return F.linear(hidden.to(self.padded_head.dtype), self.padded_head)[..., : self.config.vocab_size]
        if takes_gpu_path(hidden):
            return padded_logits(hidden, self.lm_head.weight)
        logits: Tensor = self.lm_head(hidden)
        return logits

    def auxiliary_loss(self) -> Float[Tensor, ""]:
        """Return the term that the last `hidden` with gradients adds to the loss: `balance_weight` times the
        load-balancing losses of its layers with experts; 0 for a model without a term. Each forward's term can be read
        once.

        It is a mean over the tokens of that forward: of a microbatch, add its share of the batch's tokens.
        """
        routing, self._routing = self._routing, ()
        if self.config.expert_balance != "loss" or not routing:
            return torch.zeros((), device=self.device)
        return self.config.balance_weight * torch.stack([layer.balance_loss for layer in routing]).sum()

    @torch.no_grad()
    def balance_experts(self, *, moving: bool = True) -> None:
        """Forget, after each optimizer step, the loads of the forwards with gradients since the last call; with
        `expert_balance` bias, move the experts' biases by them first. Over several ranks, sum the buffers `load`
        before.

        Args:
            moving: false where the step's update was left out.
        """
        for module in self.modules():
            if isinstance(module, MixtureOfExperts):
                module.balance(self.config.balance_weight if moving else 0.0)

    def _through_layers(self, x: Tensor, context: Context) -> Tensor:
        if not self.config.num_experts:
            for layer in self.layers:
                x = layer(x, context)
            return x
        routing: list[Routing] = []
        for layer in self.layers:
            # A list of each layer's own: the compiler would make code anew for each length of a common one.
            own = replace(context, routing=[])
            x = layer(x, own)
            routing.append(own.routing[0])
        self._note(tuple(routing))
        return x

    def _note(self, routing: tuple[Routing, ...]) -> None:
        # Here and not in the layer: a checkpointed layer runs twice and must count once.
        if not torch.is_grad_enabled():
            return
        self._routing = routing
        mixtures = [module for module in self.modules() if isinstance(module, MixtureOfExperts)]
        for module, layer in zip(mixtures, routing, strict=True):
            module.load += layer.load

    def _context(
        self,
        num_queries: int,
        positions: Tensor,
        kv_cache: KVCache | None,
        document_ids: Tensor | None,
        counted: Tensor | None,
    ) -> Context:
        without_mask = document_ids is not None and kv_cache is None and self._kernel_attends()
        mask = None if without_mask else attention_mask(num_queries, kv_cache, document_ids)
        window = self.config.window
        return Context(
            rotation=None if self.rope is None else self.rope.at(positions),
            mask=mask,
            window_mask=windowed(mask, window) if window and mask is not None else None,
            segments=None if document_ids is None else document_segments(document_ids),
            kv_cache=kv_cache,
            counted=counted,
        )

    def _kernel_attends(self) -> bool:
        """Return whether all layers with attention keep documents apart without a mask."""
        config = self.config
        plain = config.attention == "fused" and not config.latent_rank
        return plain and kernel_attends(self.token_embeddings.weight, config.d_head)

    def _positions(self, ids: Tensor, positions: Tensor | None, kv_cache: KVCache | None) -> Tensor:
        if positions is not None:
            if positions.shape not in (ids.shape, ids.shape[1:], (1, ids.shape[1])):
                raise ConfigurationError(
                    f"positions {list(positions.shape)} of ids {list(ids.shape)}, expected [seq] or [batch seq]"
                )
            return positions
        start = 0 if kv_cache is None else kv_cache.length
        end = start + ids.shape[1]
        if end > self.config.context_length:
            raise ConfigurationError(
                f"{end} tokens, more than the model's context_length = {self.config.context_length}"
            )
        return torch.arange(start, end, device=ids.device)
