"""Loss increase from a bfloat16 residual stream: the rounding alone, on a CPU, with float32 matrix multiplications.

Text of a Markov chain over 64 tokens, whose next token depends on the two before; the floor of the loss is the chain's
entropy. A model is trained with each stream from the same weights on the same batches, once a seed. Rows are the mean
differences of the loss over the last tenth of the steps, with the standard error over the seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from benchmarks.report import Row
from lm.kernels.cross_entropy import linear_cross_entropy
from lm.model import TransformerLM, preset
from lm.progress import track
from lm.training.compute import prepare
from lm.training.optimizers import AdamW

_VOCAB, _SEEDS, _STEPS, _LAYERS = 64, 4, 300, (4, 12)
Stream = Literal["float32", "bfloat16"]


def rows(*, toy: bool = False) -> Iterator[Row]:
    """Yield the differences by depth of the model."""
    steps, seeds = (4, 2) if toy else (_STEPS, _SEEDS)
    for num_layers in (2,) if toy else _LAYERS:
        differences, losses = [], []
        for seed in track(range(seeds), f"streams, {num_layers} layers", unit="seed"):
            exact, rounded = (_train(kind, num_layers, seed, steps) for kind in ("float32", "bfloat16"))
            differences.append(rounded - exact)
            losses.append(exact)
        error = statistics.stdev(differences) / len(differences) ** 0.5
        yield Row(
            name=f"loss, bfloat16 less float32 stream, {num_layers} layers",
            value=statistics.mean(differences),
            unit="nats",
            peer=f"± {error:.4f}; float32 {statistics.mean(losses):.4f}, {seeds} seeds",
        )


def _train(stream: Stream, num_layers: int, seed: int, steps: int) -> float:
    torch.manual_seed(seed)
    shape = preset("test", vocab_size=_VOCAB, context_length=64, d_model=64, num_layers=num_layers, num_kv_heads=4)
    model = TransformerLM(shape)
    prepare(model, residual_stream=stream)
    chain = torch.softmax(3 * torch.randn(_VOCAB, _VOCAB, _VOCAB), dim=-1)
    optimizer = AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95))
    losses = []
    for _ in range(steps):
        ids = _text(chain, 16, shape.context_length + 1)
        hidden = model.hidden(ids[:, :-1]).flatten(0, 1)
        loss = linear_cross_entropy(hidden, model.lm_head.weight, ids[:, 1:].flatten()) / hidden.shape[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return statistics.mean(losses[-max(1, steps // 10) :])


def _text(chain: Tensor, batch: int, length: int) -> Tensor:
    ids = torch.randint(_VOCAB, (batch, 2))
    for _ in range(length - 2):
        ids = torch.cat([ids, torch.multinomial(chain[ids[:, -2], ids[:, -1]], 1)], dim=1)
    return ids
