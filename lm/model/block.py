"""Transformer block: a token mixer and a feed-forward layer, both added to the residual stream."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lm.model.attention import CausalSelfAttention
from lm.model.config import ModelConfig
from lm.model.context import Context
from lm.model.latent_attention import LatentAttention
from lm.model.mlp import make_mlp
from lm.model.moe import MixtureOfExperts
from lm.model.norm import Gives, LayerNorm, RMSNorm, added, make_norm
from lm.model.rope import rotary_embedding
from lm.model.ssm import StateSpaceLayer


class TransformerBlock(nn.Module):
    """A layer of a model of the shape `config`; f is attention (`attn`) or a state-space layer (`ssm`), then the
    feed-forward layer (`ffn`), with the norms `ln1` and `ln2`:

        pre       x + f(ln(x))                 the stream is never normalized (Xiong et al. 2020)
        post      ln(x + f(x))                 (Vaswani et al. 2017)
        sandwich  x + ln_out(f(ln(x)))         (Ding et al. 2021); the outer norms are `ln1_out` and `ln2_out`
        none      x + f(x)                     the output projections of f start 1 / sqrt(2 num_layers) as large:
                                               without norms the stream would grow by a factor a layer, or its square

    With `scaled_residuals` they start as large in every placement, as in GPT-2.

    Usable alone: `TransformerBlock(config)(x)` attends to all tokens before, at positions from 0.
    """

    def __init__(self, config: ModelConfig, layer_index: int = 0) -> None:
        super().__init__()
        self.config, self.placement = config, config.norm_placement
        self.ln1 = self._norm("pre", "post", "sandwich", gives="products")
        self.attn, self.ssm = None, None
        if config.layer_kind(layer_index) == "ssm":
            self.ssm = StateSpaceLayer(config, layer_index)
        else:
            kind = LatentAttention if config.latent_rank else CausalSelfAttention.of
            self.attn = kind(config, layer_index)
        self.ln1_out = self._norm("sandwich")
        # A router chooses by vectors that are not rounded to the type of the products.
        self.ln2 = self._norm("pre", "post", "sandwich", gives="weights" if config.num_experts else "products")
        self.ffn = MixtureOfExperts(config) if config.num_experts else make_mlp(config)
        self.ln2_out = self._norm("sandwich")
        if self.placement == "none" or config.scaled_residuals:
            self._shrink_outputs()

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], context: Context | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Return the stream after this layer."""
        context = context or self._plain_context(x)
        if self.placement == "post":
            x = _through(self.ln1, added(x, self._mix(x, context)))
            return _through(self.ln2, added(x, self._feed_forward(x, context)))
        mixed = _through(self.ln1_out, self._mix(_through(self.ln1, x), context))
        x, normed = (added(x, mixed),) * 2 if self.ln2 is None else self.ln2.add(x, mixed)
        return added(x, _through(self.ln2_out, self._feed_forward(normed, context)))

    def _mix(self, x: Tensor, context: Context) -> Tensor:
        mixer = self.attn if self.ssm is None else self.ssm
        assert mixer is not None
        mixed: Tensor = mixer(x, context)
        return mixed

    def _feed_forward(self, x: Tensor, context: Context) -> Tensor:
        fed: Tensor = self.ffn(x, context) if self.config.num_experts else self.ffn(x)
        return fed

    @torch.no_grad()
    def _shrink_outputs(self) -> None:
        """Scale the output projections by the number of terms that are added to the stream (Radford et al. 2019,
        section 2.3).
        """
        shrink = (2 * self.config.num_layers) ** -0.5
        for name, weight in self.named_parameters():
            if name.endswith(("output_proj.weight", "ffn.w2", "ffn.w2.weight")):
                weight.mul_(shrink)

    def _norm(self, *placements: str, gives: Gives = "input") -> RMSNorm | LayerNorm | None:
        if self.placement not in placements:
            return None
        # With norms after the parts, the norm's result is the stream.
        return make_norm(self.config, self.config.d_model, gives="input" if self.placement == "post" else gives)

    def _plain_context(self, x: Tensor) -> Context:
        if self.config.position != "rope":
            return Context()
        return Context(rotation=rotary_embedding(self.config).to(x.device).first(x.shape[1]))


def _through(norm: nn.Module | None, x: Tensor) -> Tensor:
    return x if norm is None else norm(x)
