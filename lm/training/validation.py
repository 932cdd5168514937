"""Validation loss and bits per byte, on the way and at the end, of all sources and of each.

Bits per byte need the bytes of the text: of the whole split the shards' summary has them, of a part of it or of one
source only the tokenizer knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from lm.errors import InputError
from lm.evaluation.perplexity import evaluate_perplexity, score_tokens
from lm.model import TransformerLM
from lm.shards import TokenShards
from lm.storage import Artifact
from lm.token_stream import TokenStream, source_names

if TYPE_CHECKING:
    from lm.tokenizer import Tokenizer

_CHUNK_TOKENS = 2**20


class Validator:
    """Scores a model on the validation split of a token shards artifact, with matrix products in `dtype`.

    Raises:
        InputError: the artifact has no such split, or it was made by another tokenizer than `tokenizer` or the
        training split.
    """

    def __init__(
        self, source: Artifact, tokenizer_digest: str, tokenizer: Tokenizer | None, dtype: torch.dtype
    ) -> None:
        if tokenizer is not None and tokenizer.digest != tokenizer_digest:
            raise InputError(f"{source.path}: ids come from tokenizer {tokenizer_digest}, not from {tokenizer.digest}")
        self._source, self._dtype = source, dtype
        shards = TokenShards.open(source, "validation", tokenizer_digest)
        self._stream = TokenStream(shards)
        names = source_names(shards)
        self._by_source = {name: TokenStream(shards, name) for name in names} if len(names) > 1 else {}
        self._only_source = names[0] if len(names) == 1 else None
        self._id_bytes = None if tokenizer is None else _id_bytes(tokenizer)

    def on_the_way(self, model: TransformerLM, max_tokens: int) -> dict[str, float]:
        """Return loss and, where the tokenizer is known, bits per byte of the first `max_tokens` (0: all) tokens; the
        same under `NAME/SOURCE` where there are several sources.
        """
        values = self._score(model, self._stream, "", max_tokens)
        for name, stream in self._by_source.items():
            values |= self._score(model, stream, f"/{name}", max_tokens)
        return values

    def at_the_end(self, model: TransformerLM, before_batch: Callable[[], None]) -> dict[str, Any]:
        """Return the scores of the whole split and of each source, each token after at least half a context.

        `before_batch` may raise to stop.
        """
        how: dict[str, Any] = {"dtype": self._dtype, "before_batch": before_batch}
        score = evaluate_perplexity(model, self._source, **how)
        total = {"validation_loss": score.loss, "bits_per_byte": score.bits_per_byte}
        sources: dict[str, Any] = {} if self._only_source is None else {self._only_source: total}
        for name, stream in self._by_source.items():
            nats = score_tokens(model, stream, **how)
            sources[name] = {"validation_loss": nats / len(stream), **self._bits(nats, stream, len(stream))}
        counts = {"nats": score.nats, "num_tokens": score.num_tokens, "text_bytes": score.text_bytes}
        return {**total, **counts, "sources": sources}

    def _score(self, model: TransformerLM, stream: TokenStream, suffix: str, max_tokens: int) -> dict[str, float]:
        tokens = min(max_tokens or len(stream), len(stream))
        stride = model.config.context_length
        nats = score_tokens(model, stream, stride=stride, max_tokens=tokens, dtype=self._dtype)
        values = {"validation_loss": nats / tokens, **self._bits(nats, stream, tokens)}
        return {f"{name}{suffix}": value for name, value in values.items()}

    def _bits(self, nats: float, stream: TokenStream, num_tokens: int) -> dict[str, float]:
        if self._id_bytes is None:
            return {}
        size = sum(
            int(self._id_bytes[stream.read(start, min(_CHUNK_TOKENS, num_tokens - start))].sum())
            for start in range(0, num_tokens, _CHUNK_TOKENS)
        )
        return {"bits_per_byte": nats / math.log(2) / size} if size else {}


def _id_bytes(tokenizer: Tokenizer) -> npt.NDArray[np.int64]:
    """Return the number of bytes of text that each id stands for; special tokens stand for none."""
    sizes = np.zeros(tokenizer.vocab_size, np.int64)
    for token_id, token in tokenizer.vocab.items():
        sizes[token_id] = len(token)
    sizes[[tokenizer.special_id(name) for name in tokenizer.special_tokens]] = 0
    return sizes
