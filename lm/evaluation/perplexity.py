"""Bits per byte: how many bits a model needs for one byte of held-out text.

bits per byte = nats of all tokens / ln 2 / bytes of text

Unlike the loss per token it compares models with different tokenizers. Every token of the split is scored once, the
first from the end-of-text id before it. The end-of-text ids count in the nats (the model must say where a document
ends) and 0 in the bytes. Windows overlap: after the first window a token has at least `context_length - stride` tokens
before it. A model that was trained on documents apart (`ModelConfig.separate_documents`) is scored on each document
alone, from the end-of-text id before it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lm.errors import ConfigurationError, InputError
from lm.kernels.cross_entropy import linear_cross_entropy
from lm.model import TransformerLM, autocast
from lm.shards import TokenShards
from lm.storage import Artifact
from lm.token_stream import TokenStream

_Window = tuple[int, int, int]
"""First target, end, first target to score."""


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a text under a model."""

    nats: float
    num_tokens: int
    text_bytes: int

    @property
    def loss(self) -> float:
        """Nats per token."""
        return self.nats / self.num_tokens

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of text."""
        return self.nats / math.log(2) / self.text_bytes


def evaluate_perplexity(
    model: TransformerLM,
    shards: Artifact,
    *,
    split: str = "validation",
    stride: int = 0,
    batch_size: int = 16,
    dtype: torch.dtype | None = None,
    before_batch: Callable[[], None] = _nothing,
) -> Score:
    """Score a whole split of a token shards artifact; `stride` 0 is half a context.

    Args:
        dtype: of matrix products; None is bfloat16 on a GPU, float32 on a CPU.
        before_batch: called before each batch; may raise to stop.

    Raises:
        InputError: the artifact has no such split, the split is empty, or its summary has no `text_bytes`.
    """
    size = text_bytes(shards, split)
    stream = TokenStream(TokenShards.open(shards, split))
    nats = score_tokens(model, stream, stride=stride, batch_size=batch_size, dtype=dtype, before_batch=before_batch)
    return Score(nats, len(stream), size)


def text_bytes(shards: Artifact, split: str) -> int:
    """Return the number of UTF-8 bytes that the ids of a split decode to, as the artifact's summary has it."""
    found = shards.summary.get("text_bytes", {})
    if not isinstance(found, dict) or not isinstance(found.get(split), int) or found[split] <= 0:
        raise InputError(
            f"{shards.path}: its summary has no text_bytes of split '{split}', so bits per byte cannot be computed"
        )
    size: int = found[split]
    return size


def score_tokens(
    model: TransformerLM,
    stream: TokenStream,
    *,
    stride: int = 0,
    batch_size: int = 16,
    max_tokens: int = 0,
    dtype: torch.dtype | None = None,
    before_batch: Callable[[], None] = _nothing,
) -> float:
    """Return nats of the first `max_tokens` ids of `stream` (0: of all), each scored once; otherwise as
    `evaluate_perplexity`.
    """
    num_tokens = min(len(stream), max_tokens) if max_tokens else len(stream)
    if num_tokens == 0:
        raise InputError("nothing to score: the split holds no tokens")
    context_length = model.config.context_length
    spans = _documents(stream, num_tokens) if model.config.separate_documents else [(0, num_tokens)]
    windows = [
        (begin + start, begin + end, begin + first)
        for begin, stop in spans
        for start, end, first in _windows(stop - begin, context_length, stride or max(1, context_length // 2))
    ]
    total = 0.0
    for batch in _batches(windows, batch_size * context_length):
        before_batch()
        total += _score_windows(model, stream, batch, dtype)
    return total


def _documents(stream: TokenStream, num_tokens: int) -> list[tuple[int, int]]:
    """Return the range of tokens of each document among the first `num_tokens`; the last may be cut."""
    begins = stream.document_begins.tolist()
    return [(begin, min(end, num_tokens)) for begin, end in itertools.pairwise(begins) if begin < min(end, num_tokens)]


def _batches(windows: list[_Window], max_tokens: int) -> Iterator[list[_Window]]:
    """Yield windows of like length together, as many as pad to at most `max_tokens`."""
    batch: list[_Window] = []
    for window in sorted(windows, key=lambda window: window[1] - window[0]):  # the sort is stable
        if batch and (len(batch) + 1) * (window[1] - window[0]) > max_tokens:
            yield batch
            batch = []
        batch.append(window)
    yield batch


def _windows(num_tokens: int, context_length: int, stride: int) -> Iterator[_Window]:
    """Yield windows of one length that score each target once."""
    if not 0 < stride <= context_length:
        raise ConfigurationError(f"stride: {stride}, expected 1 to context_length = {context_length}")
    scored = 0
    while scored < num_tokens:
        end = min(scored + (stride if scored else context_length), num_tokens)
        yield max(0, end - context_length), end, scored
        scored = end


@torch.no_grad()
def _score_windows(
    model: TransformerLM, stream: TokenStream, windows: list[_Window], dtype: torch.dtype | None
) -> float:
    ids = torch.from_numpy(_padded([_with_context(stream, start, end) for start, end, _ in windows])).to(model.device)
    scored = torch.tensor([(first - start, end - start) for start, end, first in windows], device=model.device)
    inputs, targets = ids[:, :-1], ids[:, 1:]
    places = torch.arange(targets.shape[1], device=model.device)
    chosen = (places >= scored[:, :1]) & (places < scored[:, 1:])
    with autocast(model.device, dtype):
        hidden = model.hidden(inputs)
        cap = model.config.logit_soft_cap
        nats = linear_cross_entropy(hidden[chosen], model.lm_head.weight, targets[chosen], soft_cap=cap)
    return float(nats)


def _padded(rows: list[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    """Return rows of ids side by side, padded with id 0 on the right, where no token attends to it."""
    padded = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded


def _with_context(stream: TokenStream, start: int, end: int) -> npt.NDArray[Any]:
    """Return targets `start` to `end` and the id before them."""
    if start > 0:
        return stream.read(start - 1, end - start + 1)
    return np.concatenate([[stream.shards.end_of_text_id], stream.read(0, end)])
