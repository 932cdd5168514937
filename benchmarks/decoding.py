"""Decoding at batch 1 on a GPU: tokens a second, and the bytes of a step as a share of a copy's bandwidth.

A step must read every matrix once, in 16 bits, and the keys and values of the tokens before. Its peer is decoding
without a CUDA graph. Without a GPU every row reads `not measured`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.report import Row, finish, parser
from lm.accounting import count_parameters, kv_cache_bytes
from lm.accounting.throughput import measured_copy_bytes_per_s
from lm.errors import run_command
from lm.inference.decoding import Decoder, Graphed, Stepwise
from lm.inference.kv_cache import KVCache
from lm.inference.weights import decoding_twin
from lm.model import TransformerLM, preset
from lm.progress import track
from lm.training.compute import prepare

CASES = (("qwen3_0_6b", 1_024, 256), ("llama_1b", 1_024, 256), ("gpt2_124m", 512, 256))
"""Preset, tokens of the prompt, and tokens to decode."""
MIN_SHARE = 0.7


def rows(*, toy: bool = False) -> Iterator[Row]:
    """Yield all rows; `toy` decodes with a tiny model on any device."""
    cases = (("test", 8, 8),) if toy else CASES
    for name, prompt, steps in track(cases, "decoding", unit="model"):
        label = f"decoding at batch 1, {name}, {prompt:,} tokens before"
        if toy or torch.cuda.is_available():
            yield from _measured(label, name, prompt, steps, toy)
        else:
            yield Row(name=label, value=None, unit="of copy", target=MIN_SHARE)


@torch.no_grad()
def _measured(label: str, name: str, prompt: int, steps: int, toy: bool) -> Iterator[Row]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model = TransformerLM(preset(name, context_length=max(2_048, 4 * prompt)) if not toy else preset(name)).to(device)
    prepare(model, compile="off")
    twin = decoding_twin(model)
    copy = measured_copy_bytes_per_s(device)
    speeds = {kind.__name__: _speed(kind, twin, prompt, steps) for kind in (Graphed, Stepwise)}
    size = 4 if twin.compute_type == torch.float32 else 2
    counted = count_parameters(model.config)
    read = size * (counted.total - (0 if model.config.tie_embeddings else counted.embedding))
    read += kv_cache_bytes(model.config, prompt + steps // 2, size)
    yield Row(
        name=label,
        value=read * speeds["Graphed"] / copy,
        unit="of copy",
        target=None if toy else MIN_SHARE,
        peer=f"without a graph {read * speeds['Stepwise'] / copy:.3f}",
    )
    yield Row(name=f"{label}, speed", value=speeds["Graphed"], unit="tokens/s")


def _speed(kind: Callable[[TransformerLM, KVCache], Decoder], model: TransformerLM, prompt: int, steps: int) -> float:
    """Return the tokens per second of steps without sampling, excluding the first steps."""
    device, warm = model.device, 4
    cache = KVCache(
        model.config, batch=1, capacity=prompt + warm + steps, dtype=model.cache_type, device=device
    )  # fmt: skip
    ids = torch.randint(model.config.vocab_size, (1, prompt), device=device)
    model.hidden(ids, kv_cache=cache)
    decode = kind(model, cache)
    token = ids[:, -1]
    for _ in range(warm):
        decode(token)
    _wait(device)
    started = time.perf_counter()
    for _ in range(steps):
        decode(token)
    _wait(device)
    return steps / (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    arguments: Any = parser("decoding", (__doc__ or "").strip()).parse_args(argv)
    return finish("decoding", rows(), arguments)


if __name__ == "__main__":
    run_command(main)
