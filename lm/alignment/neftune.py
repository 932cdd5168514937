"""NEFTune: noise on the embeddings during fine-tuning, against overfitting to the form of few examples.

    x = embedding(ids) + uniform(−1, 1) · α / sqrt(L d)          L tokens of a row, d numbers of a token

Source: Jain et al. 2023, arXiv:2310.05914, with L the padded length as in their code.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from lm.model import TransformerLM


@contextlib.contextmanager
def noisy_embeddings(model: TransformerLM, alpha: float, seed: int) -> Iterator[None]:
    """Add the noise to the model's embeddings while entered; 0 adds none. The seed decides the noise."""
    if not alpha:
        yield
        return
    generator = torch.Generator(device=model.device).manual_seed(seed)

    def add_noise(module: object, inputs: object, embedded: Tensor) -> Tensor:
        size = alpha / math.sqrt(embedded.shape[-2] * embedded.shape[-1])
        return embedded + torch.empty_like(embedded).uniform_(-size, size, generator=generator)

    hook = model.token_embeddings.register_forward_hook(add_noise)
    try:
        yield
    finally:
        hook.remove()
