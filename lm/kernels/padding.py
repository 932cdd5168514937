"""Vocabulary padding to a multiple of 128 for matrix multiplications on a GPU.

A row of 50,257 logits begins where no access of 16 bytes may; one of 50,304 does not. The weights have their true size
in the state, in checkpoints, exports and for the optimizer. Rows of zeros join them while they are cast to the type of
the product, and the columns of the padding are cut from the logits, so that no token of the padding is drawn or
counted.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from lm.model.precision import autocast_type

ALIGNMENT = 128


def padded_size(vocab: int) -> int:
    """Return the next multiple of 128."""
    return -(-vocab // ALIGNMENT) * ALIGNMENT


def padded_rows(weight: Float[Tensor, "vocab d_model"], dtype: torch.dtype) -> Float[Tensor, "padded d_model"]:
    """Return the weight in `dtype`, with rows of zeros up to the next multiple of 128."""
    missing = padded_size(len(weight)) - len(weight)
    return F.pad(weight.to(dtype), (0, 0, 0, missing)) if missing else weight.to(dtype)


def padded_logits(
    hidden: Float[Tensor, "*axes d_model"], weight: Float[Tensor, "vocab d_model"]
) -> Float[Tensor, "*axes vocab"]:
    """Compute `hidden @ weight.T` with padded rows; the result is a view without the padding."""
    dtype = autocast_type(hidden) or hidden.dtype
    return F.linear(hidden.to(dtype), padded_rows(weight, dtype))[..., : len(weight)]
