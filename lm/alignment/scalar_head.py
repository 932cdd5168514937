"""A Transformer with a linear head of one number: rewards of responses, and values of the states before their tokens.

The head starts at 0. The output layer of the Transformer stays unused.
"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lm.alignment.sequences import SequenceBatch
from lm.model import TransformerLM
from lm.model.precision import widened


class ScalarHead(nn.Module):
    """A number for every position of a sequence."""

    def __init__(self, backbone: TransformerLM) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.config.d_model, 1, bias=False, device=backbone.device)
        nn.init.zeros_(self.head.weight)

    def numbers(self, ids: Int[Tensor, "rows seq"], counted: Bool[Tensor, "rows seq"]) -> Float[Tensor, "rows seq"]:
        """Return the number of each position, at least in float32; padding, which is not `counted`, has one as well."""
        numbers: Tensor = self.head(self.backbone.hidden(ids, counted=counted))
        return widened(numbers.squeeze(-1))


class ValueModel(ScalarHead):
    """The critic of PPO: V(s), the rewards to expect from a state on, where a state is the text before a token."""

    def forward(self, batch: SequenceBatch) -> Float[Tensor, "rows targets"]:
        """Return the value before each response token; 0 elsewhere."""
        return self.numbers(batch.ids[:, :-1], batch.input_mask()).masked_fill(~batch.response_mask, 0.0)
