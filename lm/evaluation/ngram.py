"""The n-gram baseline: a model with interpolated modified Kneser-Ney smoothing (Chen and Goodman 1998, section 3).

    P_k(w | ctx) = (c(ctx w) − D(c)) / c(ctx •) + γ(ctx) P_{k−1}(w | shorter ctx),     P_0 = 1 / vocabulary
    γ(ctx) = (D1 N1(ctx •) + D2 N2(ctx •) + D3 N3+(ctx •)) / c(ctx •)

c counts occurrences for the longest grams and, below, how many different tokens come before (continuations). The
discounts of each order come from its counts of counts: Y = n1 / (n1 + 2 n2), D1 = 1 − 2 Y n2/n1, D2 = 2 − 3 Y n3/n2, D3
= 3 − 4 Y n4/n3. A context never seen passes on to the shorter one. The probabilities of all tokens after any context
sum to 1.

A gram is named by a number: its rank among the distinct pairs (name of its prefix, last token), so that any order fits
in 64 bits and all counting and scoring is sorting and looking up whole arrays. Stream and contexts run across
documents, as for the Transformer; the end-of-text id between them is a token like others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lm.errors import ConfigurationError, InputError
from lm.evaluation.perplexity import Score, text_bytes
from lm.shards import TokenShards
from lm.storage import Artifact
from lm.token_stream import TokenStream

Ids = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Order:
    """The grams of one length: sorted keys (context · vocabulary + token), and what is interpolated with."""

    keys: Ids
    share: Probabilities
    """(c − D(c)) / c(ctx •) of each gram."""
    passed_on: Probabilities
    """γ of each context; 1 where the context was never followed by anything."""


class KneserNey:
    """An n-gram model over token ids; `orders[k]` holds the grams of length k + 1."""

    def __init__(self, ids: npt.ArrayLike, *, order: int, vocab_size: int, end_of_text_id: int) -> None:
        if order < 1:
            raise ConfigurationError(f"order: {order}, expected at least 1")
        self.order, self.vocab_size, self.end_of_text_id = order, vocab_size, end_of_text_id
        stream = np.asarray(ids, dtype=np.int64)
        if stream.size == 0:
            raise InputError("no tokens to count")
        if stream.min() < 0 or stream.max() >= vocab_size:
            raise InputError(f"token ids {stream.min()} to {stream.max()}, expected 0 to {vocab_size - 1}")
        self._orders = self._count(self._padded(stream))

    def log_probabilities(self, ids: npt.ArrayLike) -> Probabilities:
        """Return ln P of each id after those before it; the first follows end-of-text ids."""
        stream = self._padded(np.asarray(ids, dtype=np.int64))
        names = np.zeros_like(stream)  # of the gram of length k that ends at each position; length 0 has one name
        probability = np.full(stream.size, 1 / self.vocab_size)
        for order in self._orders:
            contexts = np.concatenate([[-1 if order is not self._orders[0] else 0], names[:-1]])
            names, share = _look_up(order, contexts, stream, self.vocab_size)
            probability = share + _passed_on(order, contexts) * probability
        return np.log(probability[self.order - 1 :])

    def distribution(self, context: npt.ArrayLike) -> Probabilities:
        """Return P of every token of the vocabulary after `context`, of which the last order − 1 ids count."""
        padded = np.concatenate([self._padded(np.empty(0, np.int64)), np.asarray(context, dtype=np.int64)])
        length = self.order - 1
        tail = padded[len(padded) - length :]
        probability = np.full(self.vocab_size, 1 / self.vocab_size)
        tokens = np.arange(self.vocab_size)
        for k, order in enumerate(self._orders):
            contexts = np.full(self.vocab_size, self._name(tail[length - k :]))
            _, share = _look_up(order, contexts, tokens, self.vocab_size)
            probability = share + _passed_on(order, contexts) * probability
        return probability

    def _padded(self, stream: Ids) -> Ids:
        return np.concatenate([np.full(self.order - 1, self.end_of_text_id, dtype=np.int64), stream])

    def _name(self, gram: Ids) -> int:
        name = 0
        for order, token in zip(self._orders, gram, strict=False):
            found, _ = _look_up(order, np.array([name]), np.array([token]), self.vocab_size)
            name = int(found[0])
        return name

    def _count(self, stream: Ids) -> list[_Order]:
        """Name the grams of every length, then turn counts into shares from the longest down."""
        names = np.zeros_like(stream)
        keys_of, firsts_of, counts, names_of = [], [], np.empty(0, np.int64), []
        for k in range(self.order):
            # A gram of length k + 1 that ends at i has the prefix that ends at i − 1.
            contexts = names if k == 0 else np.concatenate([[0], names[:-1]])
            whole = slice(k, None)
            keys, firsts, inverse, counts = np.unique(
                (contexts * self.vocab_size + stream)[whole], return_index=True, return_inverse=True, return_counts=True
            )
            names = np.concatenate([np.zeros(k, np.int64), inverse])
            keys_of.append(keys)
            firsts_of.append(firsts + k)
            names_of.append(names)
        orders = [_order(keys_of[-1], counts, self.vocab_size)]
        for k in reversed(range(self.order - 1)):
            # One longer gram each: how many different tokens come before its suffix.
            suffixes = names_of[k][firsts_of[k + 1]]
            orders.append(_order(keys_of[k], np.bincount(suffixes, minlength=len(keys_of[k])), self.vocab_size))
        return orders[::-1]


def _order(keys: Ids, counts: Ids, vocab_size: int) -> _Order:
    discounts = discounts_of(counts)
    contexts = keys // vocab_size
    kept = counts - discounts[np.minimum(counts, 3)]
    totals = np.bincount(contexts, weights=counts)
    given_up = np.bincount(contexts, weights=counts - kept)
    seen = totals > 0
    passed_on = np.divide(given_up, totals, out=np.ones_like(totals), where=seen)
    share = np.divide(kept, totals[contexts], out=np.zeros(len(keys)), where=seen[contexts])
    return _Order(keys, share, passed_on)


def discounts_of(counts: Ids) -> Probabilities:
    """Return D of the counts 0, 1, 2 and 3 or more, from the counts of counts.

    A text too small or too regular leaves a discount undefined or outside (0, count]; then it is 1/2, so that something
    is always kept back for what was never seen.
    """
    n1, n2, n3, n4 = (float(np.count_nonzero(counts == value)) for value in (1, 2, 3, 4))
    ratio = n1 / (n1 + 2 * n2) if n1 else 0.0
    raw = [
        1 - 2 * ratio * n2 / n1 if n1 else 0.0,
        2 - 3 * ratio * n3 / n2 if n2 else 0.0,
        3 - 4 * ratio * n4 / n3 if n3 else 0.0,
    ]
    usable = [discount if 0 < discount <= value else 0.5 for value, discount in enumerate(raw, start=1)]
    return np.array([0.0, *usable])


def _look_up(order: _Order, contexts: Ids, tokens: Ids, vocab_size: int) -> tuple[Ids, Probabilities]:
    """Return names and shares of the grams (context, token); −1 and 0 where never seen."""
    wanted = contexts * vocab_size + tokens
    place = np.minimum(np.searchsorted(order.keys, wanted), len(order.keys) - 1)
    found = (order.keys[place] == wanted) & (contexts >= 0)
    return np.where(found, place, -1), np.where(found, order.share[place], 0.0)


def _passed_on(order: _Order, contexts: Ids) -> Probabilities:
    """Return γ of each context; a context never seen passes everything on."""
    known = (contexts >= 0) & (contexts < len(order.passed_on))
    return np.where(known, order.passed_on[np.where(known, contexts, 0)], 1.0)


def evaluate_ngram(shards: Artifact, *, order: int = 3, split: str = "validation") -> Score:
    """Count the `train` split, score another: the figure that a trained model must beat, over the same ids and bytes.

    Raises:
        InputError: a split is missing or empty, or the summary has no `text_bytes`.
    """
    size = text_bytes(shards, split)
    training, held_out = (TokenStream(TokenShards.open(shards, name)) for name in ("train", split))
    model = KneserNey(
        training.read(0, len(training)),
        order=order,
        vocab_size=training.shards.vocab_size,
        end_of_text_id=training.shards.end_of_text_id,
    )
    log_probabilities = model.log_probabilities(held_out.read(0, len(held_out)))
    return Score(-math.fsum(log_probabilities), len(held_out), size)
