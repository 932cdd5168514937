"""The budget of one pre-training as an artifact.

OUTPUT/         budget.json: parameters, FLOPs and bytes, from formulas: the same bytes for the same inputs
OUTPUT.work/    calibration.json: seconds and memory of a few real steps, which differ from machine to machine
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm import storage
from lm.accounting.budget import shares_by_context
from lm.accounting.calibration import calibrate
from lm.accounting.flops import six_n_d, training_flops, training_flops_per_token
from lm.accounting.memory import training_memory
from lm.accounting.parameters import count_parameters
from lm.configuration import to_mapping
from lm.model import choose_device
from lm.scaling.budget_comparison import BUDGET, CALIBRATION
from lm.shards import TokenShards
from lm.storage import Artifact, Publication
from lm.training.config import PretrainConfig
from lm.training.metrics import Report, work_folder

_EVALUATION_SHARE = 1 / 3
"""FLOPs of a token that is only evaluated, of one that is trained on."""


def write_training_budget(config: PretrainConfig, *, shards: Path, output: Path, report: Report) -> Artifact:
    """Publish the budget of this training at `output`, and calibrate it on this machine beside."""
    source = storage.open_artifact(shards)
    artifact = storage.make(
        output,
        functools.partial(_write, config, source),
        kind="training_budget",
        config=to_mapping(config),
        inputs={"token_shards": source.digest},
    )
    measured = dataclasses.asdict(calibrate(config, shards))
    facts = json.loads(artifact.file(BUDGET).read_text())
    measured["predicted_seconds"] = predicted_seconds(facts, measured["seconds_per_step"])
    work = work_folder(output)
    work.mkdir(parents=True, exist_ok=True)
    twin = work / f"{CALIBRATION}.new"
    twin.write_text(json.dumps({"digest": artifact.digest, **measured}))
    twin.replace(work / CALIBRATION)
    seconds, size_mb = measured["predicted_seconds"], facts["peak_bytes"] / 1e6
    report({"message": f"predicted: about {seconds:.0f} s, {size_mb:.0f} MB of tensors"})
    return artifact


def _write(config: PretrainConfig, source: Artifact, publication: Publication) -> None:
    facts = budget_facts(config, TokenShards.open(source, "train").vocab_size)
    storage.write_json(publication.path / BUDGET, facts)
    publication.summary.update({name: facts[name] for name in ("parameters", "tokens", "flops", "peak_bytes")})


def budget_facts(config: PretrainConfig, vocab_size: int) -> dict[str, Any]:
    """Return parameters, FLOPs by component and bytes by purpose of a training."""
    shape = config.model_config(vocab_size)
    steps = config.steps(shape.context_length)
    tokens = steps * config.batch_size * shape.context_length
    memory = training_memory(
        shape,
        config.microbatch_size or config.batch_size,
        precision="float32" if _computes_wide(config) else "bfloat16",
        optimizer=config.optimizer,
        recompute=config.recomputation,
        accumulated=0 < config.microbatch_size < config.batch_size,
        device="cuda" if choose_device(config.device).type == "cuda" else "cpu",
    )
    evaluations = (steps - 1) // config.evaluation_interval if config.evaluation_interval else 0
    return {
        "parameters": count_parameters(shape).total,
        "non_embedding_parameters": count_parameters(shape).non_embedding,
        "steps": steps,
        "tokens": tokens,
        "evaluated_tokens": evaluations * config.evaluation_tokens,
        "step_tokens": config.batch_size * shape.context_length,
        "flops": tokens * training_flops_per_token(shape),
        "flops_square": tokens * training_flops_per_token(shape, convention="square"),
        "flops_6nd": six_n_d(count_parameters(shape).total, tokens),
        "shares": training_flops(shape).shares(),
        "shares_by_context": shares_by_context(shape, tuple(2**power for power in range(7, 18))),
        **{f"{name}_bytes": getattr(memory, name) for name in _PURPOSES},
        "peak_bytes": memory.total,
    }


_PURPOSES = ("weights", "gradients", "optimizer_state", "activations", "output_layer", "recomputed", "update")


def predicted_seconds(facts: Mapping[str, Any], seconds_per_step: float) -> float:
    """Return the seconds of all steps and of the evaluations between them; the last evaluation comes after the run."""
    evaluated = facts["evaluated_tokens"] / facts["step_tokens"] * _EVALUATION_SHARE
    return float((facts["steps"] + evaluated) * seconds_per_step)


def _computes_wide(config: PretrainConfig) -> bool:
    if config.precision == "auto":
        return choose_device(config.device).type != "cuda"
    return config.precision == "float32"
