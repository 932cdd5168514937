"""Named stretches of a training step: ranges in a profiler's trace, and seconds by name.

The trainer names its parts (`data`, `forward`, `backward`, …). While a model is watched, its layers and their parts
are named too, forward and backward. Seconds are exclusive: a stretch does not count those inside of it. With `waits`
each border waits for the GPU, so that the seconds are those of the work itself; the step is then slower as a whole.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.autograd.profiler import record_function

from lm.model import TransformerLM

_PARTS = {"attn": "attention", "ssm": "state space", "ffn": "feed-forward"}


class Spans:
    """The stretches of one step on a device."""

    def __init__(self, device: torch.device, *, waits: bool) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._waits = waits and device.type == "cuda"
        self._open: list[tuple[str, float, record_function]] = []
        self._inside = [0.0]

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Name what runs inside of the `with` block."""
        self._enter(name)
        try:
            yield
        finally:
            self._leave(name)

    @contextmanager
    def watching(self, model: TransformerLM, *, parts: bool) -> Iterator[None]:
        """Name the layers of the model inside of the `with` block; with `parts` also what each is made of.

        Parts are seen where layers run operation by operation: neither compiled nor recomputed.
        """
        handles: list[Any] = []
        for index, layer in enumerate(model.layers):
            handles += self._watch(layer, "norms and additions", f"layer {index}")
            if parts:
                for name, label in _PARTS.items():
                    if (part := getattr(layer, name)) is not None:
                        handles += self._watch(part, label)
        attentions: list[Any] = [layer.attn for layer in model.layers if parts and layer.attn is not None]
        for attention in attentions:
            if hasattr(attention, "_projected"):
                attention._projected = partial(self._named, "attention: q, k, v", attention._projected)
            handles += self._watch(attention.output_proj, "attention: output")
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            for attention in attentions:
                attention.__dict__.pop("_projected", None)

    def _watch(self, module: nn.Module, name: str, label: str = "") -> list[Any]:
        """Install hooks around the forward and the backward of a module."""
        found = []
        for phase, before, after in (
            ("forward", module.register_forward_pre_hook, module.register_forward_hook),
            ("backward", module.register_full_backward_pre_hook, module.register_full_backward_hook),
        ):
            own = f"{phase}, {name}"
            shown = f"{phase}, {label}" if label else own
            found.append(before(partial(self._on_enter, own, shown)))
            found.append(after(partial(self._on_leave, own)))
        return found

    def _named(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        with self(f"forward, {name}"):
            return function(*arguments)

    def _on_enter(self, name: str, shown: str, *_: Any) -> None:
        self._enter(name, shown)

    def _on_leave(self, name: str, *_: Any) -> None:
        self._leave(name)

    def _enter(self, name: str, shown: str = "") -> None:
        self._wait()
        mark = record_function(shown or name)
        mark.__enter__()
        self._open.append((name, time.perf_counter(), mark))
        self._inside.append(0.0)

    def _leave(self, name: str) -> None:
        if not self._open or self._open[-1][0] != name:
            return  # a gradient that no one wanted: the hook of its beginning did not run
        self._wait()
        _, started, mark = self._open.pop()
        spent, inside = time.perf_counter() - started, self._inside.pop()
        self.seconds[name] += spent - inside
        self._inside[-1] += spent
        mark.__exit__(None, None, None)

    def _wait(self) -> None:
        if self._waits:
            torch.cuda.synchronize()
