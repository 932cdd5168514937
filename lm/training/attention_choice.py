"""The attention of a run's layers, chosen by measurement at its start and kept in the cache.

A run that goes on finds the same choice, so that its numbers do not depend on when it was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast, get_args

from lm.kernels.attention_backends import AttentionShape, Backend, causal_blocks, fastest
from lm.kernels.backend import takes_gpu_path
from lm.locations import cache_folder
from lm.model import CausalSelfAttention, TransformerLM
from lm.model.attention import kernel_attends

CHOICES = "attention.json"


def choose_attention(
    model: TransformerLM, *, batch: int, documents: bool, deterministic: bool = False
) -> Mapping[int, Backend]:
    """Give every attention layer its backend; returns the backends by layer.

    Nothing is chosen on a CPU, for attention written out, or for heads that no kernel takes. `deterministic` takes
    Loam's kernel, whose backward has one order of additions.
    """
    weight = model.token_embeddings.weight
    layers = {i: layer.attn for i, layer in enumerate(model.layers) if isinstance(layer.attn, CausalSelfAttention)}
    written_out = model.config.attention != "fused" or not kernel_attends(weight, model.config.d_head)
    if not takes_gpu_path(weight) or written_out:
        return {}
    known = _read(cache_folder() / CHOICES)
    before, chosen = dict(known), {}
    for index, attention in layers.items():
        shape = AttentionShape(
            batch=batch,
            heads=model.config.num_heads,
            kv_heads=model.config.num_kv_heads,
            seq=model.config.context_length,
            d_head=model.config.d_head,
            dtype=model.compute_type,
            window=attention.window,
            documents=documents,
        )
        chosen[index] = "kernel" if deterministic else fastest(shape, weight.device, known)
        attention.backend = chosen[index]
        if chosen[index] == "flex":
            attention.blocks = causal_blocks(shape.seq, shape.window, weight.device)
    if known != before:
        _write(cache_folder() / CHOICES, known)
    return chosen


def _read(path: Path) -> dict[str, Backend]:
    """Return the choices so far; of a file that cannot be read, none."""
    try:
        found = json.loads(path.read_text())
        return {key: cast(Backend, value) for key, value in found.items() if value in get_args(Backend)}
    except (OSError, ValueError, AttributeError):
        return {}


def _write(path: Path, known: Mapping[str, Backend]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    twin = path.with_name(f"{path.name}.new")
    twin.write_text(json.dumps(dict(known), indent=2, sort_keys=True) + "\n")
    twin.replace(path)
