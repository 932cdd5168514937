"""Scaling by width: with `base_width`, the learning rate found at that d_model fits any other (muP, Yang et al. 2022,
arXiv:2203.03466, table 8).

With m = d_model / base_width, under Adam:

    matrices between widths   variance 2 / (d_in + d_out), as without muP; learning rate / m
    output layer              variance as at the base width; its input is multiplied by 1 / m; learning rate as at base
    embeddings, gains, biases nothing changes with the width

Attention keeps 1 / sqrt(d_head) and a wider model has more heads of the same d_head, where the table's 1 / d_head would
be the same constant. At d_model = base_width the model is the one without muP. The first weights and the multiplier
(`ModelConfig.logit_scale`) are the model's; the learning rates are given by `lm.training.parameter_groups`, for other
optimizers too. `tests/lm/model/test_width.py` is the paper's coordinate check of both together.
"""

from __future__ import annotations

from lm.model.config import ModelConfig
from lm.model.linear import linear_std


def embedding_std(config: ModelConfig) -> float:
    """Return the deviation of the embeddings' first weights.

    A tied matrix must also serve as the output layer: entries of size 1 would make the first logits sqrt(d_model)
    large.
    """
    return output_std(config) if config.tie_embeddings else 1.0


def output_std(config: ModelConfig) -> float:
    """Return the deviation of the output layer's first weights; under muP that of the base width."""
    return linear_std(config.base_width or config.d_model, config.vocab_size)
