"""Loam's own scaling law: the runs of a grid, the fit, a prediction published before its runs, and the error.

    law_runs/BUDGET    points.json: the grid's runs of one budget
    law_prediction     law.json: points, fits and intervals; prediction.json: shape, tokens and loss for a larger budget
    law_test           runs.json: the predicted training, once per seed, with the error

The manifest of `law_test` names the digest of `law_prediction` among its inputs, so the prediction is older than the
runs. Each training lies in a folder named by its configuration, and goes on from its checkpoint when it is launched
again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm import storage
from lm.accounting.flops import training_flops_per_token
from lm.accounting.parameters import count_parameters
from lm.configuration import to_mapping
from lm.errors import ConfigurationError, InputError
from lm.progress import track
from lm.scaling.fits import fits_of
from lm.scaling.fitted_law import law_in, predicted_interval
from lm.scaling.frontier import fit_frontier
from lm.scaling.grid_config import GridConfig
from lm.scaling.grid_files import LAW, POINTS, PREDICTION, RUNS
from lm.scaling.parametric import lowest_left_out
from lm.scaling.points import Points, points_of
from lm.shards import TokenShards
from lm.storage import Artifact, Publication
from lm.training.config import PretrainConfig
from lm.training.metrics import Report
from lm.training.pretrain import pretrain, silent

_LEAST_STEPS = 10


def run_budget(
    config: GridConfig, *, budget: str, shards: Path, runs: Path, output: Path, report: Report = silent
) -> Artifact:
    """Train every width at the budget with the index `budget`, and publish the points at `output`.

    Raises:
        ConfigurationError: the grid has no such budget, or a width would take fewer than 10 steps.
        Interrupted: SIGTERM or SIGINT; the same call goes on with the run that was interrupted.
    """
    flops = _budget_of(config, budget)
    source = storage.open_artifact(shards)
    return storage.make(
        output,
        functools.partial(_write_budget, config, flops, source, runs, report),
        kind="law_runs",
        config={"budget_flops": flops, **_shared(config)},
        inputs={"token_shards": source.digest},
    )


def write_prediction(
    config: GridConfig, *, budgets: Mapping[str, Path], shards: Path, output: Path, report: Report = silent
) -> Artifact:
    """Fit the law to the points of all budgets, predict the larger budget, and publish both at `output`."""
    found = {name: storage.open_artifact(path) for name, path in budgets.items()}
    source = storage.open_artifact(shards)
    return storage.make(
        output,
        functools.partial(_write_prediction, config, found, source, report),
        kind="law_prediction",
        config=to_mapping(config),
        inputs={name: artifact.digest for name, artifact in found.items()} | {"token_shards": source.digest},
    )


def run_prediction(
    config: GridConfig, *, prediction: Path, shards: Path, runs: Path, output: Path, report: Report = silent
) -> Artifact:
    """Train what was predicted, once per seed, and publish losses and errors at `output`.

    Raises:
        InputError: the prediction was made with another configuration or from other shards.
    """
    made, source = storage.open_artifact(prediction), storage.open_artifact(shards)
    if made.config != to_mapping(config) or made.inputs["token_shards"] != source.digest:
        raise InputError(
            f"{prediction}: made with another configuration or other shards; materialize the prediction again"
        )
    return storage.make(
        output,
        functools.partial(_write_runs, config, made, source, runs, report),
        kind="law_test",
        config=to_mapping(config),
        inputs={"law_prediction": made.digest, "token_shards": source.digest},
    )


def points_in(artifact: Artifact) -> list[dict[str, Any]]:
    """Return the points of one budget's artifact."""
    found: list[dict[str, Any]] = json.loads(artifact.file(POINTS).read_text())
    return found


def steps_for(config: GridConfig, width: int, flops: float, vocab_size: int) -> int:
    """Return the whole steps of one width that come nearest to the budget.

    Raises:
        ConfigurationError: fewer than 10 steps.
    """
    shape = config.shape(width, vocab_size)
    batch = config.run(width, 1, 0).batch_size * config.context_length
    steps = round(flops / (training_flops_per_token(shape) * batch))
    if steps < _LEAST_STEPS:
        raise ConfigurationError(
            f"grid.budgets_flops: {flops:.3g} trains a d_model of {width} for {steps} steps, expected at least "
            f"{_LEAST_STEPS}; raise the budget or lower batch_tokens"
        )
    return steps


def _write_budget(
    config: GridConfig, flops: float, source: Artifact, runs: Path, report: Report, publication: Publication
) -> None:
    rows = []
    for width in track(config.widths, f"budget {flops:.2g}", unit="run"):
        rows.append(_point(config, width, flops, config.grid_seed, source, runs))
        report({key: rows[-1][key] for key in ("d_model", "parameters", "tokens", "loss")})
    storage.write_json(publication.path / POINTS, rows)
    publication.summary.update(budget_flops=flops, num_runs=len(rows), lowest_loss=min(row["loss"] for row in rows))


def _write_prediction(
    config: GridConfig, found: Mapping[str, Artifact], source: Artifact, report: Report, publication: Publication
) -> None:
    rows = [row for artifact in found.values() for row in points_in(artifact)]
    law = fits_of(points_of(rows, "total"), num_draws=config.num_draws, seed=config.grid_seed)
    law |= {"points": rows, "vocab_size": TokenShards.open(source, "train").vocab_size}
    law["non_embedding"] = _non_embedding(rows, config)
    storage.write_json(publication.path / LAW, law)
    told = _prediction(config, law)
    storage.write_json(publication.path / PREDICTION, told)
    report({"message": f"predicts {told['loss']:.4f} nats for {told['flops']:.3g} FLOPs"})
    publication.summary.update({key: told[key] for key in ("flops", "d_model", "parameters", "tokens", "loss")})


def _non_embedding(rows: Sequence[Mapping[str, Any]], config: GridConfig) -> dict[str, Any]:
    """Return the same fits with the layers' parameters alone, as Kaplan et al. 2020 count them."""
    counted = [{**row, "parameters": row["non_embedding_parameters"]} for row in rows]
    return fits_of(points_of(counted, "non_embedding"), num_draws=config.num_draws, seed=config.grid_seed)


def _prediction(config: GridConfig, law: Mapping[str, Any]) -> dict[str, Any]:
    """Return width, tokens and expected loss at the larger budget, with the interval.

    Both the parametric law and the frontier predict. The one that comes nearer to the lowest loss of the grid's largest
    budget from all smaller budgets is believed; the other's loss stands beside.
    """
    points = points_of(law["points"], "total")
    told = {"parametric": _by_law(config, law), "frontier": _by_frontier(config, points, law["vocab_size"])}
    errors: dict[str, float | None] = {"parametric": _lowest_left_out(points, config.grid_seed), "frontier": None}
    if told["frontier"] is not None:
        errors["frontier"] = told["frontier"].pop("left_out")
    known = {name: abs(error) for name, error in errors.items() if error is not None}
    method = min(known, key=known.__getitem__, default="parametric")
    losses = {name: each["loss"] for name, each in told.items() if each is not None}
    return {**(told[method] or {}), "method": method, "losses": losses, "largest_left_out": errors}


def _lowest_left_out(points: Points, seed: int) -> float | None:
    try:
        return lowest_left_out(points, seed)
    except InputError:
        return None


def _by_law(config: GridConfig, law: Mapping[str, Any]) -> dict[str, Any]:
    """Return the width with the lowest loss by the parametric law."""
    fitted = law_in(law)
    rows = [_shape_at(config, width, law["vocab_size"]) for width in _widths(config)]
    best = min(rows, key=lambda row: fitted.loss(row["parameters"], row["tokens"]))
    bounds = predicted_interval(law, best["parameters"], best["tokens"])
    loss = fitted.loss(best["parameters"], best["tokens"])
    return {**best, "loss": loss, "low": bounds.low, "high": bounds.high}


def _by_frontier(config: GridConfig, points: Points, vocab_size: int) -> dict[str, Any] | None:
    """Return the width nearest to N*(C) and the frontier's loss; None where two budgets alone are too few to choose."""
    try:
        frontier = fit_frontier(points)
    except InputError:
        return None
    if frontier.largest_left_out is None:
        return None
    flops = config.prediction_factor * config.budgets_flops[-1]
    wanted = frontier.parameters.at(flops)
    rows = [_shape_at(config, width, vocab_size) for width in _widths(config)]
    best = min(rows, key=lambda row: abs(math.log(row["parameters"] / wanted)))
    bounds = frontier.interval(best["flops"])
    told = {"loss": frontier.loss.at(best["flops"]), "low": bounds.low, "high": bounds.high}
    return {**best, **told, "left_out": frontier.largest_left_out}


def _widths(config: GridConfig) -> range:
    return range(config.widths[0], config.widths[-1] + 1, config.d_head)


def _shape_at(config: GridConfig, width: int, vocab_size: int) -> dict[str, Any]:
    flops = config.prediction_factor * config.budgets_flops[-1]
    steps = steps_for(config, width, flops, vocab_size)
    return {**_spent(config, width, steps, vocab_size), "steps": steps, "budget_flops": flops}


def _write_runs(
    config: GridConfig, made: Artifact, source: Artifact, runs: Path, report: Report, publication: Publication
) -> None:
    told = json.loads(made.file(PREDICTION).read_text())
    rows = []
    for seed in track(config.prediction_seeds, "predicted run", unit="run"):
        rows.append(_point(config, told["d_model"], told["budget_flops"], seed, source, runs))
        report({"seed": seed, "loss": rows[-1]["loss"], "predicted": told["loss"]})
    mean = statistics.fmean(row["loss"] for row in rows)
    found = {"predicted_loss": told["loss"], "measured_loss": mean, "relative_error": told["loss"] / mean - 1}
    storage.write_json(publication.path / RUNS, {"runs": rows, "prediction": told, **found})
    publication.summary.update(found, num_seeds=len(rows))


def _point(config: GridConfig, width: int, flops: float, seed: int, source: Artifact, runs: Path) -> dict[str, Any]:
    """Train one width at a budget; return the point."""
    vocab_size = TokenShards.open(source, "train").vocab_size
    steps = steps_for(config, width, flops, vocab_size)
    training = config.run(width, steps, seed)
    trained = pretrain(training, source.path, runs / _name(training, source))
    return {**_spent(config, width, steps, vocab_size), "seed": seed, "loss": trained.summary["validation_loss"]}


def _spent(config: GridConfig, width: int, steps: int, vocab_size: int) -> dict[str, Any]:
    shape, training = config.shape(width, vocab_size), config.run(width, steps, 0)
    tokens, counted = steps * training.batch_size * config.context_length, count_parameters(shape)
    return {
        "d_model": width,
        "parameters": counted.total,
        "non_embedding_parameters": counted.non_embedding,
        "tokens": tokens,
        "flops": tokens * training_flops_per_token(shape),
    }


def _shared(config: GridConfig) -> dict[str, Any]:
    """Return what shapes the runs of one budget: neither the other budgets nor the prediction."""
    own = ("budgets_flops", "prediction_factor", "prediction_seeds", "num_draws")
    return {name: value for name, value in to_mapping(config).items() if name not in own}


def _budget_of(config: GridConfig, budget: str) -> float:
    number = len(config.budgets_flops)
    if not budget.isdecimal() or not 0 <= int(budget) < number:
        raise ConfigurationError(f"budget '{budget}': the grid has budgets 0 to {number - 1}")
    return config.budgets_flops[int(budget)]


def _name(config: PretrainConfig, source: Artifact) -> str:
    content = json.dumps([to_mapping(config), source.digest], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
