"""Calibration of a training on this machine: the seconds and the memory of a few real steps of its configuration.

The utilization of a small model on a CPU follows from no data sheet; a budget takes it from here. The steps are thrown
away. They last for about two seconds, or four steps where these take longer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from lm.accounting.flops import training_flops_per_token
from lm.accounting.measured_memory import peak_new_bytes
from lm.accounting.throughput import measured_matmul_flops
from lm.model import TransformerLM, choose_device
from lm.shards import TokenShards
from lm.storage import open_artifact
from lm.training.batches import BatchLoader
from lm.training.config import PretrainConfig
from lm.training.precision import deterministic_kernels
from lm.training.reading_order import order_of_run
from lm.training.trainer import Trainer

_LEAST_STEPS, _TIMED_S = 3, 1.5


@dataclass(frozen=True, slots=True)
class Calibration:
    """Measured here: seconds of a step, the machine's rate of matrix products, and the peak of a step's tensors."""

    seconds_per_step: float
    matmul_flops: float
    peak_bytes: int
    utilization: float
    """By the causal count, of `matmul_flops`."""


def calibrate(config: PretrainConfig, shards: Path) -> Calibration:
    """Take a few steps of this training and measure them.

    Raises:
        ConfigurationError: an impossible configuration.
        InputError: the shards lack a split.
    """
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    device = choose_device(config.device)
    training = TokenShards.open(open_artifact(shards), "train")
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        shape = config.model_config(training.vocab_size)
        trainer = Trainer(config, TransformerLM(shape).to(device), _loader(config, training))
        with contextlib.closing(trainer.loader), deterministic_kernels(config.deterministic):
            step = _seconds_of_a_step(trainer, device)
            peak = _peak(trainer, device)
        rate = measured_matmul_flops(device, seconds=0.2, dtype=trainer.compute_type)
    tokens = config.batch_size * shape.context_length
    return Calibration(step, rate, peak, tokens * training_flops_per_token(shape) / step / rate)


def _loader(config: PretrainConfig, training: TokenShards) -> BatchLoader:
    order = order_of_run(dataclasses.replace(config, decay_chat_share=0.0), training)  # chat text costs the same
    return BatchLoader(order, batch_size=config.batch_size, document_masks=config.document_masks)


def _seconds_of_a_step(trainer: Trainer, device: torch.device) -> float:
    """Return the median of the steps after the first, which allocates and compiles."""
    _seconds(trainer, device)
    found: list[float] = []
    while len(found) < _LEAST_STEPS or sum(found) < _TIMED_S:
        found.append(_seconds(trainer, device))
    return statistics.median(found)


def _seconds(trainer: Trainer, device: torch.device) -> float:
    started = time.perf_counter()
    trainer.train_step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _peak(trainer: Trainer, device: torch.device) -> int:
    """Return the most bytes of tensors at once in a step: weights, moments, and what the step makes."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        trainer.train_step()
        return int(torch.cuda.max_memory_allocated(device))
    trainer.optimizer.zero_grad(set_to_none=True)
    _, new = peak_new_bytes(trainer.train_step)
    weights = sum(parameter.nbytes for parameter in trainer.model.parameters())
    states = (value for state in trainer.optimizer.state.values() for value in state.values())
    return new + weights + sum(value.nbytes for value in states if torch.is_tensor(value))
