"""A Transformer of four layers on 3.6 MB of real prose, against n-gram models over the same tokens and the same
split."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import Row
from benchmarks.training_texts import prose_path, prose_shards
from lm.evaluation.ngram import evaluate_ngram
from lm.storage import Artifact
from lm.training.config import PretrainConfig
from lm.training.metrics import METRICS
from lm.training.pretrain import pretrain

VOCAB_SIZE = 4_096
NUM_THREADS = 2
SETTINGS: Mapping[str, Any] = {
    "preset": "tiny_cpu",
    "batch_size": 8,
    "optimizer": "muon",
    "learning_rate": 2e-2,
    "final_lr_fraction": 0.0,
    "warmup_steps": 40,
    "weight_decay": 0.1,
    "evaluation_tokens": 0,
    "device": "cpu",
    "num_threads": NUM_THREADS,
}
"""Chosen by hand on the same validation split, by short runs that no command here repeats; so the figure is not that of
an untouched split, as the n-gram models' is."""
_PROBE_STEPS = 12


def prose_rows(minutes: float, curve_file: Path | None = None) -> list[Row]:
    """Return bits per byte after `minutes` of training; write the validation curve to `curve_file`, if given."""
    source = prose_path()
    if source is None:
        return [Row(name="prose, 4 layers: validation", value=None, unit="bits/byte")]
    with tempfile.TemporaryDirectory() as folder:
        shards = prose_shards(source, Path(folder) / "shards", VOCAB_SIZE)
        orders = {order: evaluate_ngram(shards, order=order).bits_per_byte for order in (3, 5)}
        steps = _steps_within(minutes * 60, shards, Path(folder))
        started = time.perf_counter()
        config = PretrainConfig(**SETTINGS, num_steps=steps, evaluation_interval=max(1, steps // 12))
        trained = pretrain(config, shards.path, Path(folder) / "model")
        seconds = time.perf_counter() - started
        if curve_file is not None:
            curve_file.write_text(json.dumps(_curve(trained, seconds, orders), indent=2) + "\n")
    ours, tokens = trained.summary["bits_per_byte"], trained.summary["tokens"]
    rows = [
        Row(
            name=f"prose, 4 layers, {minutes:g} minutes: validation",
            value=ours,
            unit="bits/byte",
            peer=f"Kneser-Ney {order}-gram: {theirs:.3f}",
            ratio=ours / theirs,
            target=1.0,
            better="lower",
        )
        for order, theirs in orders.items()
    ]
    rows.append(Row(name="prose, 4 layers: parameters", value=trained.summary["parameters"], unit=""))
    rows.append(Row(name="prose, 4 layers: training tokens", value=tokens, unit="tokens"))
    rows.append(Row(name="prose, 4 layers: training and evaluations", value=seconds, unit="s"))
    return rows


def _steps_within(seconds: float, shards: Artifact, folder: Path) -> int:
    """Return the number of steps that fill the time, by a short run's speed."""
    torch.set_num_threads(NUM_THREADS)
    times: list[float] = []
    config = PretrainConfig(**SETTINGS, num_steps=_PROBE_STEPS, evaluation_interval=0, checkpoint_interval=0)
    pretrain(config, shards.path, folder / "probe", lambda event: times.append(time.perf_counter()))
    return max(_PROBE_STEPS, round(seconds / ((times[-1] - times[2]) / (len(times) - 3))))


def _curve(trained: Artifact, seconds: float, orders: Mapping[int, float]) -> dict[str, Any]:
    rows = [json.loads(line) for line in trained.file(METRICS).read_text().splitlines()]
    return {
        "seconds": round(seconds, 1),
        "bits_per_byte": trained.summary["bits_per_byte"],
        "kneser_ney_bits_per_byte": {str(order): value for order, value in orders.items()},
        "validation": [[row["step"], row["validation_loss"]] for row in rows if "validation_loss" in row],
        "training": [[row["step"], row["loss"]] for row in rows if "loss" in row and row["step"] % 20 == 0],
    }
