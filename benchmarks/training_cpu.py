"""Training speed on a CPU against transformers' Llama and plain matrix multiplications, and the overhead of the loop.

The peer has the same shape, weights in float32, the same AdamW with the same groups, the same clipping, the same ids.
Steps alternate, one of each, so that other work on the machine hits both alike; the median of steps counts. Matrix
products of float32 alternate with them: the share of their rate is that of the model's own operations, so optimizer,
norms and attention's exponentials count as loss.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.report import Row
from lm.accounting import model_flops_utilization
from lm.kernels.adamw import AdamWSettings, AdamWUpdate, adamw_
from lm.kernels.backend import Backend, use_kernels
from lm.model import TransformerLM
from lm.model.config import ModelConfig
from lm.model.presets import preset
from lm.progress import track
from lm.shards import ShardWriter
from lm.storage import Artifact, publish
from lm.training import AdamW, clip_gradients, decay_groups
from lm.training.config import PretrainConfig
from lm.training.metrics import work_folder
from lm.training.pretrain import silent
from lm.training.run import Run
from lm.training.stop import StopSignals

SHAPE = "small_cpu"
NUM_THREADS = 2
BATCH_SIZE = 2
MAX_OVERHEAD = 0.03
MIN_RATIO = 1.0
MIN_PRODUCT_SHARE = 0.85
_LEARNING_RATE = 1e-3
PRODUCT_SIZE, NUM_PRODUCTS = 1_024, 20
_PRODUCT = "products"

Step = Callable[[Tensor], None]


def random_shards(target: Path, vocab_size: int, num_tokens: int) -> Artifact:
    """Return shards of random ids: the content does not affect the speed."""
    random = np.random.default_rng(0)
    with publish(target, kind="token_shards", config={}, inputs={}, code="benchmark") as publication:
        for split, size in (("train", num_tokens), ("validation", 4_096)):
            with ShardWriter(
                publication.path, tokenizer_digest="random", vocab_size=vocab_size, end_of_text_id=0, prefix=split
            ) as writer:
                for index in range(max(1, size // 1_024)):
                    writer.write(f"{split}-{index}", "random", random.integers(1, vocab_size, 1_023))
        publication.summary.update(text_bytes={"train": 4 * num_tokens, "validation": 4 * 4_096})
    return publication.artifact


def speed_rows(rounds: int = 8) -> list[Row]:
    """Return tokens per second of a step, eager and compiled, against transformers' Llama, and the share of the
    rate of matrix multiplications.
    """
    torch.set_num_threads(NUM_THREADS)
    config = preset(SHAPE)
    steps: dict[str, Step] = {"ours": our_step(config), "ours, compiled": our_step(config, compiled=True)}
    steps[_PRODUCT] = products()
    try:
        steps["Llama"] = _llama_step(config)
        steps["Llama, compiled"] = _llama_step(config, compiled=True)
    except ImportError:
        pass
    seconds = _alternate(steps, config, rounds)
    tokens = BATCH_SIZE * config.context_length
    flops = NUM_PRODUCTS * 2 * PRODUCT_SIZE**3 / statistics.median(seconds.pop(_PRODUCT))
    speed = {name: tokens / statistics.median(times) for name, times in seconds.items()}
    pairs = [("ours", "Llama", MIN_RATIO), ("ours, compiled", "Llama", MIN_RATIO)]
    pairs.append(("ours, compiled", "Llama, compiled", MIN_RATIO))
    shares = {name: model_flops_utilization(config, tokens_per_s, flops) for name, tokens_per_s in speed.items()}
    rows = [_speed_row(ours, peer, speed, target) for ours, peer, target in pairs]
    return [*rows, _share_row(shares, flops), _update_row(config, rounds)]


def _share_row(shares: Mapping[str, float], flops: float) -> Row:
    others = ", ".join(f"{name} {share:.2f}" for name, share in shares.items() if name != "ours, compiled")
    return Row(
        name=f"CPU training, {SHAPE}, compiled, of the rate of products",
        value=shares["ours, compiled"],
        unit="share",
        peer=f"{others}; products {flops / 1e9:,.0f} GFLOP/s",
        target=MIN_PRODUCT_SHARE,
    )


def _update_row(config: ModelConfig, rounds: int) -> Row:
    """Return the row of AdamW updates: torch's fused loop against the reference with separate operations."""
    parameters = [parameter.detach() for parameter in TransformerLM(config).parameters()]
    settings = AdamWSettings(1e-3, (0.9, 0.95), 1e-8, 0.1, 5)
    random = torch.rand_like
    updates = [AdamWUpdate(each, random(each), random(each), random(each), settings) for each in parameters]
    seconds: dict[Backend, list[float]] = {"auto": [], "reference": []}
    for _ in range(rounds + 1):
        for backend, taken in seconds.items():
            with use_kernels(backend):
                started = time.perf_counter()
                adamw_(updates)
                taken.append(time.perf_counter() - started)
    loop, separate = (statistics.median(taken[1:]) for taken in seconds.values())
    return Row(
        name=f"CPU training, {SHAPE}, update by AdamW",
        value=1 / loop,
        unit="updates/s",
        peer=f"separate operations: {1 / separate:.1f}",
        ratio=separate / loop,
        target=1.0,
    )


def products() -> Step:
    """Return a function that multiplies float32 matrices as often as one timing of the rate needs."""
    left, right = (torch.randn(PRODUCT_SIZE, PRODUCT_SIZE) for _ in range(2))
    result = torch.empty_like(left)

    def step(_: Tensor) -> None:
        for _number in range(NUM_PRODUCTS):
            torch.mm(left, right, out=result)

    return step


def _speed_row(ours: str, peer: str, speed: Mapping[str, float], target: float) -> Row:
    name = f"CPU training, {SHAPE}, {ours.replace('ours, ', '').replace('ours', 'eager')}"
    if peer not in speed:
        return Row(name=name, value=speed[ours], unit="tokens/s")
    label = f"transformers {peer}: {speed[peer]:,.0f}"
    return Row(
        name=name, value=speed[ours], unit="tokens/s", peer=label, ratio=speed[ours] / speed[peer], target=target
    )


def _alternate(steps: Mapping[str, Step], config: ModelConfig, rounds: int) -> dict[str, list[float]]:
    generator = torch.Generator().manual_seed(0)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    shape = (BATCH_SIZE, config.context_length + 1)
    # The first two rounds compile and warm up.
    for round_number in track(range(rounds + 2), "CPU training", unit="round"):
        ids = torch.randint(config.vocab_size, shape, generator=generator)
        for name, step in steps.items():
            start = time.perf_counter()
            step(ids)
            if round_number >= 2:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def our_step(config: ModelConfig, compiled: bool = False) -> Step:
    """Return a step of Loam's model with AdamW."""
    from lm.kernels.cross_entropy import linear_cross_entropy

    torch.manual_seed(0)
    model = TransformerLM(config)
    optimizer = AdamW(decay_groups(model, 0.1), lr=_LEARNING_RATE)
    hidden = torch.compile(model.hidden) if compiled else model.hidden

    def step(ids: Tensor) -> None:
        targets = ids[:, 1:].flatten()
        loss = linear_cross_entropy(hidden(ids[:, :-1]).flatten(0, 1), model.lm_head.weight, targets) / len(targets)
        _update(model, optimizer, loss)

    return step


def _llama_step(config: ModelConfig, compiled: bool = False) -> Step:
    from transformers import LlamaConfig, LlamaForCausalLM

    attention: dict[str, Any] = {"attn_implementation": "sdpa"}  # a keyword that every configuration of theirs takes

    torch.manual_seed(0)
    model: Any = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            intermediate_size=config.d_ff,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            max_position_embeddings=config.context_length,
            rms_norm_eps=config.norm_epsilon,
            tie_word_embeddings=config.tie_embeddings,
            use_cache=False,
            **attention,
        )
    ).float()
    optimizer = AdamW(decay_groups(model, 0.1), lr=_LEARNING_RATE)
    forward = torch.compile(model) if compiled else model

    def step(ids: Tensor) -> None:
        logits = forward(ids[:, :-1]).logits
        _update(model, optimizer, torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()))

    return step


def _update(model: torch.nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    clip_gradients(model.parameters(), 1.0)
    optimizer.step()


def overhead_rows(num_steps: int = 16) -> list[Row]:
    """Return the share of a run's time outside forward, backward and the optimizer's step.

    This time includes reading, clipping, logging, the live view and one checkpoint.
    """
    settings: dict[str, Any] = {
        "preset": SHAPE,
        "num_steps": num_steps,
        "batch_size": BATCH_SIZE,
        "optimizer": "adamw",
        "evaluation_interval": 0,
        "checkpoint_interval": num_steps // 2,
        "num_threads": NUM_THREADS,
        "device": "cpu",
    }
    with tempfile.TemporaryDirectory() as folder:
        shards = random_shards(Path(folder) / "shards", preset(SHAPE).vocab_size, 1 << 17)
        config = PretrainConfig(**settings)
        identity = {"config": settings, "inputs": {"token_shards": shards.digest}, "code": "benchmark"}
        run = Run(config, shards, None, work_folder(Path(folder) / "model"), identity, silent, StopSignals())
        spans = _Spans(run)
        run.train()
    return [
        Row(
            name=f"CPU loop around the steps, {SHAPE}",
            value=spans.share_outside(),
            unit="share",
            target=MAX_OVERHEAD,
            better="lower",
        )
    ]


class _Spans:
    """Times of a run's steps: in total, and inside forward, backward and the optimizer's step.

    The total goes from the end of the first step to the end of the last but one: the last step waits for the last
    checkpoint, which no later step hides.
    """

    def __init__(self, run: Run) -> None:
        self._inside = 0.0
        self._ends: list[tuple[float, float]] = []
        trainer = run.trainer
        self._wrap(trainer, "_backward")
        self._wrap(trainer.optimizer, "step")
        original = trainer.train_step

        def train_step() -> Any:
            result = original()
            self._ends.append((time.perf_counter(), self._inside))
            return result

        trainer.train_step = train_step  # type: ignore[method-assign]

    def share_outside(self) -> float:
        """Return the share of the time outside these parts."""
        (start, before), (end, after) = self._ends[0], self._ends[-2]
        return 1 - (after - before) / (end - start)

    def _wrap(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = original(*arguments, **options)
            self._inside += time.perf_counter() - start
            return result

        setattr(owner, name, timed)


def rows() -> Iterator[Row]:
    """Yield all rows of this part."""
    yield from speed_rows()
    yield from overhead_rows()
