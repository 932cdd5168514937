"""Several tensors as one vector, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def flattened(tensors: Sequence[Tensor]) -> Tensor:
    """Return the elements of all tensors in one new vector; they are of one dtype and device."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


@torch.no_grad()
def unflatten_into(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Copy the elements of `flat` back into the tensors that it was made of."""
    parts = flat.split([tensor.numel() for tensor in tensors])
    torch._foreach_copy_(list(tensors), [part.view_as(to) for part, to in zip(parts, tensors, strict=True)])
