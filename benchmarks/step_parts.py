"""CPU time of a compiled training step by part, on one thread, from a profile.

One thread and CPU time limit the effect of other jobs on the machine; float32 matrix multiplications alternate with the
steps, as in `benchmarks.training_cpu`.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.report import Row
from benchmarks.training_cpu import BATCH_SIZE, NUM_PRODUCTS, PRODUCT_SIZE, SHAPE, Step, our_step, products
from lm.accounting import model_flops_utilization
from lm.model.presets import preset

_PARTS = (
    ("products", ("aten::mm", "aten::addmm", "aten::bmm")),
    ("attention", ("aten::_scaled_dot_product_flash_attention",)),
    ("norms, rotation, SwiGLU and additions, compiled", ("## Call Compiled",)),
    ("update and clipping", ("aten::_fused_adamw", "aten::linalg_vector_norm", "Optimizer.", "aten::_foreach")),
)
_REST = "softmax of the output layer, gradients set to zero, and all else"


def part_rows(rounds: int = 5) -> Iterator[Row]:
    """Yield the share of the rate of matrix multiplications, and each part's share of the step."""
    torch.set_num_threads(1)
    config = preset(SHAPE)
    step, product = our_step(config, compiled=True), products()
    ids = torch.randint(config.vocab_size, (BATCH_SIZE, config.context_length + 1))
    for _ in range(3):
        step(ids)
    seconds: dict[str, list[float]] = {"step": [], "products": []}
    for _ in range(rounds):
        for name, work in (("step", step), ("products", product)):
            started = time.process_time()
            work(ids)
            seconds[name].append(time.process_time() - started)
    taken = {name: statistics.median(each) for name, each in seconds.items()}
    flops = NUM_PRODUCTS * 2 * PRODUCT_SIZE**3 / taken["products"]
    tokens_per_s = BATCH_SIZE * config.context_length / taken["step"]
    name = f"CPU training, {SHAPE}, compiled, one thread's processor time"
    share = model_flops_utilization(config, tokens_per_s, flops)
    yield Row(name=f"{name}, of the rate of products", value=share, unit="share", peer=f"{flops / 1e9:,.0f} GFLOP/s")
    parts = _parts(step, ids)
    for part in (*(label for label, _ in _PARTS), _REST):
        yield Row(name=f"{name}: {part}", value=parts[part] / parts.total(), unit="share")


def _parts(step: Step, ids: torch.Tensor) -> Counter[str]:
    """Return the microseconds of two steps by part."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(2):
            step(ids)
    parts: Counter[str] = Counter()
    for event in found.key_averages():
        part = next((label for label, names in _PARTS if event.key.startswith(names)), _REST)
        parts[part] += int(event.self_cpu_time_total)
    return parts
