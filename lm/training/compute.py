"""Compute settings of a run, put on its model: the type of matrix products, recomputation, torch's compiler.

Pre-training, SFT, DPO and GRPO call `prepare`, so that all of them compute alike.

The compiler takes each layer on its own (`blocks`): layers of one kind share their machine code, so the first step
waits for one layer rather than for all of them. `model` compiles all layers as one graph: the additions to the stream
then join the next layer's norm, and the first step takes several times as long. Evaluation and generation run without
the compiler, since their shapes change from call to call.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch

from lm.errors import ConfigurationError
from lm.model import Linear, TransformerLM
from lm.training.config import Compilation, Precision, Recomputation
from lm.training.precision import compute_type
from lm.training.recomputation import recompute


def prepare(
    model: TransformerLM,
    *,
    precision: Precision = "auto",
    compile: Compilation = "auto",
    recomputation: Recomputation = "none",
    fp8: bool = False,
    residual_stream: Literal["float32", "bfloat16"] = "float32",
) -> torch.dtype:
    """Put the settings on the model; returns the type of its matrix products.

    Raises:
        ConfigurationError: experts under the compiler with selective recomputation; or products in 8 bits on a GPU
            that has none; or a bfloat16 stream that no norm widens.
    """
    if residual_stream == "bfloat16" and model.config.norm_placement not in ("pre", "sandwich"):
        raise ConfigurationError(
            f"residual_stream: bfloat16 with norm_placement = {model.config.norm_placement}, expected pre or sandwich: "
            "only these have a norm, which computes in float32, before every sublayer"
        )
    model.stream_type = torch.bfloat16 if residual_stream == "bfloat16" else None
    if fp8:
        _take_fp8(model)
    model.compute_type = compute_type(precision, model.device)
    unit = chosen_unit(compile, model.device)
    if unit != "off":
        warnings.filterwarnings("ignore", _HARMLESS, UserWarning)
    if unit != "off" and model.config.num_experts and recomputation == "selective":
        raise ConfigurationError("recomputation: selective, expected none or blocks with experts and torch.compile")
    if unit == "off" or not model.config.num_experts:
        recompute(model.layers, recomputation)
    if unit == "model":
        model.hidden = _InTraining(model.hidden)  # type: ignore[method-assign, assignment]
    elif unit == "blocks":
        for block in model.layers:
            block.forward = _InTraining(block.forward)
    if unit != "off" and model.config.num_experts:
        # The compiler takes no note of a routing from within a recomputed part; outside of it, it may.
        recompute(model.layers, recomputation)
    return model.compute_type


def chosen_unit(compile: Compilation, device: torch.device) -> Compilation:
    """Return the unit of compilation: `auto` is blocks on a GPU, and off on a CPU, where compiling takes the
    longest.
    """
    if compile == "auto":
        return "blocks" if device.type == "cuda" else "off"
    return compile


def _take_fp8(model: TransformerLM) -> None:
    """Let the layers' linear maps train in 8 bits; those of experts and routers stay."""
    if model.device.type == "cuda" and torch.cuda.get_device_capability(model.device) < _FP8_CAPABILITY:
        name = torch.cuda.get_device_name(model.device)
        raise ConfigurationError(f"fp8: true on {name}, expected a GPU of compute capability 8.9 or more")
    for name, module in model.layers.named_modules():
        if isinstance(module, Linear) and not name.endswith("router"):
            module.fp8 = True


_FP8_CAPABILITY = (8, 9)
_HARMLESS = "The .grad attribute of a Tensor that is not a leaf"
"""The compiler looks for a gradient on a layer's input, and torch warns of that."""


class _InTraining:
    """A forward that is compiled where gradients are wanted and no cache is read; a copy compiles anew."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward, self._compiled = forward, torch.compile(forward)

    def __call__(self, x: Any, context: Any = None, **options: Any) -> Any:
        cached = options.get("kv_cache") is not None or getattr(context, "kv_cache", None) is not None
        chosen = self._compiled if torch.is_grad_enabled() and not cached else self.forward
        return chosen(x, **options) if context is None else chosen(x, context, **options)

    def __deepcopy__(self, memo: dict[int, Any]) -> _InTraining:
        return _InTraining(copy.deepcopy(self.forward, memo))
