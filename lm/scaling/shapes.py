"""Shapes of models for a number of parameters, without an upper end.

Widths grow by a head below 1,024, by a sixteenth of the width above; a layer has 32 to 160 coordinates of the width
(outside, models of the same size do worse: Kaplan et al. 2020, figure 5). Heads have 64 coordinates below a width of
2,048, 128 from there on.
"""

from __future__ import annotations

from collections.abc import Iterator

from lm.accounting.parameters import count_parameters
from lm.model.config import ModelConfig

_WIDTHS_A_LAYER = (32, 48, 64, 80, 96, 112, 128, 144, 160)
_MOST_LAYERS = 4_096
_TIED_BELOW = 1_024


def shapes_near(
    num_parameters: float, *, vocab_size: int, context_length: int, factor: float = 4.0
) -> Iterator[ModelConfig]:
    """Yield the shapes with a `factor` fewer to a `factor` more parameters than `num_parameters`; the smallest shape of
    all where every shape is larger.
    """
    found = False
    for d_model in _widths():
        depths = sorted({min(_MOST_LAYERS, max(2, round(d_model / ratio))) for ratio in _WIDTHS_A_LAYER})
        made = [_shape(d_model, depth, vocab_size, context_length) for depth in depths]
        sizes = [count_parameters(config).total for config in made]
        for config, size in zip(made, sizes, strict=True):
            if num_parameters / factor <= size <= num_parameters * factor:
                found = True
                yield config
        if sizes[0] > num_parameters * factor:
            if not found:
                yield _shape(64, 2, vocab_size, context_length)
            return


def _widths() -> Iterator[int]:
    d_model = 64
    while True:
        yield d_model
        if d_model < 1_024:
            d_model += 64
        else:
            d_model += max(128, d_model // 16 // 128 * 128)


def _shape(d_model: int, num_layers: int, vocab_size: int, context_length: int) -> ModelConfig:
    d_head = 64 if d_model < 2_048 or d_model % 128 else 128
    return ModelConfig(
        vocab_size=vocab_size,
        context_length=context_length,
        d_model=d_model,
        num_layers=num_layers,
        num_heads=d_model // d_head,
        tie_embeddings=d_model < _TIED_BELOW,
    )
