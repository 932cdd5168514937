"""Decoding: one new token of every row a call, on a GPU as one CUDA graph over buffers that do not move.

`Stepwise` runs the model on a cache that grows. `Graphed` keeps ids, position, keys, values and logits in place: the
kernels of a step are recorded once and replayed with one launch. Its attention reads a multiple of `KEYS` positions and
masks those to come; a longer multiple records anew.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lm.inference.kv_cache import KVCache
from lm.inference.shared_prefix import SharedPrefixCache
from lm.model import TransformerLM

KEYS = 256
"""Positions by which the keys that a graph reads grow."""
_WARM_RUNS = 2


class Decoder(Protocol):
    """The next logits of every row."""

    @property
    def cache(self) -> KVCache | SharedPrefixCache:
        """The earlier tokens."""
        ...

    def __call__(self, token_ids: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        """Add a token to every row and return the logits of the next; a later call may overwrite them."""
        ...


def make_decoder(model: TransformerLM, cache: KVCache | SharedPrefixCache) -> Decoder:
    """Return the decoder for the model's device and cache."""
    if model.device.type == "cuda" and isinstance(cache, KVCache):
        return Graphed(model, cache)
    return Stepwise(model, cache)


class Stepwise:
    """Decoding without fixed buffers."""

    def __init__(self, model: TransformerLM, cache: KVCache | SharedPrefixCache) -> None:
        self.cache, self._model = cache, model

    def __call__(self, token_ids: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        """Run the model on the new tokens."""
        positions = self.cache.positions(1)
        hidden = self._model.hidden(token_ids[:, None], positions=positions, kv_cache=self.cache)
        logits: Tensor = self._model.logits(hidden[:, -1])
        return logits


class Graphed:
    """Decoding over fixed buffers; a graph on a GPU, and the same operations one by one elsewhere.

    Experts outside of the grouped product read their loads on the CPU, which no graph can hold: those run one by one.
    """

    def __init__(self, model: TransformerLM, cache: KVCache) -> None:
        self.cache, self._model = cache, model
        self._records = model.device.type == "cuda" and not model.config.num_experts
        self._ids = torch.zeros((cache.batch, 1), dtype=torch.long, device=model.device)
        self._fixed = FixedCache(cache, model.device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits: Tensor | None = None

    def __call__(self, token_ids: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        """Replay a step on the new tokens."""
        self._ids.copy_(token_ids[:, None])
        num_keys = min(self.cache.capacity, -(-(self.cache.length + 1) // KEYS) * KEYS)
        if num_keys != self._fixed.num_keys:
            self._fixed.num_keys, self._graph = num_keys, None
        if self._records and self._graph is None:
            self._record()
        if self._graph is None:
            self._logits = self._run()
        else:
            self._graph.replay()
        self._fixed.position.add_(1)
        self.cache.advance(1)
        assert self._logits is not None
        return self._logits

    def _run(self) -> Tensor:
        hidden = self._model.hidden(self._ids, positions=self._fixed.positions(), kv_cache=self._fixed)
        logits: Tensor = self._model.logits(hidden[:, -1])
        return logits

    def _record(self) -> None:
        """Warm up on a stream of its own, then record; neither leaves a trace in the cache."""
        before = {layer: tuple(part.clone() for part in state) for layer, state in self.cache.states.items()}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_RUNS):
                self._run()
        torch.cuda.current_stream().wait_stream(side)
        for layer, state in before.items():
            self._fixed.states[layer] = state
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits = self._run()


class FixedCache:
    """A `KVCache` read and written in place, at a position that lies in memory; see `lm.model.context`."""

    def __init__(self, cache: KVCache, device: torch.device) -> None:
        self._cache, self.num_keys = cache, 0
        self._padding, self._last_position = cache.padding, cache.context_length - 1
        self.position = torch.tensor([cache.length], device=device)
        self.states: MutableMapping[int, tuple[Tensor, ...]] = _FixedStates(cache.states)
        cache.clear_unwritten()  # masked keys must still be numbers

    @property
    def length(self) -> int:
        """Tokens already held by every row."""
        return self._cache.length

    def mask(self, num_queries: int) -> Bool[Tensor, "#batch 1 1 keys"]:
        """Return the keys of each row's own tokens, up to the new one."""
        places = torch.arange(self.num_keys, device=self.position.device)
        shown = (places <= self.position)[None]
        if self._padding is not None:
            shown = shown & (places >= self._padding[:, None])
        return shown[:, None, None]

    def positions(self) -> Int[Tensor, "#batch 1"]:
        """Return the position of the new token within its row."""
        if self._padding is None:
            return self.position[None]
        return (self.position - self._padding[:, None]).clamp(0, self._last_position)

    def update(self, layer_index: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write the new token's key and value at the position; return those of all positions that a step reads."""
        keys, values = (part[:, :, : self.num_keys] for part in self._cache.buffers(layer_index))
        for buffer, new in ((keys, k), (values, v)):
            if new.shape[-1]:
                buffer.index_copy_(2, self.position, new.to(buffer.dtype))
        return keys, values

    def advance(self, num_tokens: int) -> None:
        """Do nothing: the decoder moves the position, after the recorded part of a step."""


class _FixedStates(MutableMapping[int, tuple[Tensor, ...]]):
    """States of state-space layers whose new values take the place of the old ones."""

    def __init__(self, states: dict[int, tuple[Tensor, ...]]) -> None:
        self._states = states

    def __getitem__(self, layer: int) -> tuple[Tensor, ...]:
        return self._states[layer]

    def __setitem__(self, layer: int, state: tuple[Tensor, ...]) -> None:
        for own, new in zip(self._states[layer], state, strict=True):
            own.copy_(new)

    def __delitem__(self, layer: int) -> None:
        del self._states[layer]

    def __iter__(self) -> Iterator[int]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)
