"""The training plan as an artifact: the cost of each preset on the tokens at hand, and the best use of each budget.

`plan.json` has two tables. `presets`: weights, operations and bytes of every preset, and of one pass over the corpus.
`budgets`: for each budget the shape and the number of tokens with the lowest expected loss, given the number of
distinct tokens. All of it is computed from formulas (`lm.accounting`, `lm.scaling.plan`); nothing here is
measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lm import storage
from lm.accounting import count_parameters, training_flops_per_token, training_memory
from lm.configuration import to_mapping
from lm.errors import ConfigurationError
from lm.model.config import ModelConfig
from lm.model.presets import PRESETS, preset
from lm.scaling.config import PlanConfig
from lm.scaling.plan import plan, published_range
from lm.shards import TokenShards
from lm.storage import Artifact, Publication
from lm.training.metrics import Report


def write_training_plan(config: PlanConfig, *, shards: Path, output: Path, report: Report) -> Artifact:
    """Plan for the `train` split of `shards` and publish the tables at `output`."""
    source = storage.open_artifact(shards)

    def write(publication: Publication) -> None:
        tokens = TokenShards.open(source, "train")
        presets = [preset_row(name, tokens.vocab_size, tokens.num_tokens, config) for name in PRESETS]
        budgets = [budget_row(flops, tokens.vocab_size, tokens.num_tokens, config) for flops in config.budgets_flops]
        storage.write_json(publication.path / "plan.json", {"presets": presets, "budgets": budgets})
        publication.summary.update(num_tokens=tokens.num_tokens, num_presets=len(presets), num_budgets=len(budgets))
        report({"message": f"planned {len(budgets)} budgets for {tokens.num_tokens:,} tokens"})

    return storage.make(
        output,
        write,
        kind="training_plan",
        config=to_mapping(config),
        inputs={"token_shards": source.digest},
    )


def preset_row(name: str, vocab_size: int, num_tokens: int, config: PlanConfig) -> dict[str, Any]:
    """Return the cost of one preset with this vocabulary."""
    shape = preset(name, vocab_size=vocab_size)
    return {
        "preset": name,
        "parameters": count_parameters(shape).total,
        "context_length": shape.context_length,
        "training_flops_per_token": training_flops_per_token(shape),
        "flops_of_one_epoch": training_flops_per_token(shape) * num_tokens,
        "training_memory_bytes": training_memory(shape, config.microbatch_size).total,
    }


def budget_row(flops: float, vocab_size: int, num_tokens: int, config: PlanConfig) -> dict[str, Any]:
    """Return the best use of one budget, or the reason why it is too small for any."""
    row: dict[str, Any] = {"flops": flops}
    try:
        best = plan(flops, vocab_size=vocab_size, context_length=config.context_length, unique_tokens=num_tokens)
    except ConfigurationError as error:
        return {
            **row,
            "parameters": None,
            "num_tokens": None,
            "epochs": None,
            "expected_loss": None,
            "loss_by_fits": None,
            "model": {},
            "learning_rate": None,
            "batch_tokens": None,
            "note": str(error),
        }
    fits = published_range(best, num_tokens)
    return {
        **row,
        "parameters": best.num_parameters,
        "num_tokens": best.num_tokens,
        "epochs": best.num_tokens / num_tokens,
        "expected_loss": best.expected_loss,
        "loss_by_fits": None if fits is None else f"{fits[0]:.3f} to {fits[1]:.3f}",
        "model": shape_fields(best.config),
        "learning_rate": best.learning_rate,
        "batch_tokens": best.batch_tokens,
        "note": "; ".join([f"{best.config.num_layers} layers, d_model {best.config.d_model}", *best.notes]),
    }


def shape_fields(config: ModelConfig) -> dict[str, Any]:
    """Return the fields of `PretrainConfig.model` that make a planned shape out of the preset tiny_cpu."""
    names = ("context_length", "d_model", "num_layers", "num_heads", "d_ff", "tie_embeddings")
    return {name: getattr(config, name) for name in names}
