"""Pages of `python -m lm.scaling`: a plan for a budget, and the fits of a file of points."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm.accounting.budget import budget, duration
from lm.accounting.devices import DEVICES
from lm.configuration import to_mapping
from lm.errors import ConfigurationError, InputError
from lm.scaling.fits import fits_of
from lm.scaling.fitted_law import law_in, predicted_interval
from lm.scaling.hyperparameters import settings_in
from lm.scaling.law import CHINCHILLA
from lm.scaling.plan import Plan, plan, published_range, twenty_to_one
from lm.scaling.points import Count, points_of, read_rows
from lm.scaling.power_law import PowerLaw
from lm.scaling.training_plan import shape_fields


def fit(path: Path, count: Count, num_draws: int, seed: int) -> dict[str, Any]:
    """Return all fits of a file of points.

    Raises:
        InputError: the file does not exist, lacks a column, or has too few points.
    """
    rows = read_rows(path)
    points = points_of(rows, count, where=str(path))
    return fits_of(points, num_draws=num_draws, seed=seed, settings=settings_in(rows, str(path)))


def fit_page(found: Mapping[str, Any], budgets: Sequence[float] = ()) -> str:
    """Return the fits as text, one method after the other, each by its name."""
    lines = [f"{found['num_points']} points, N counts {found['count'].replace('_', '-')} parameters"]
    methods = {f"IsoFLOP minima, {method}": each for method, each in found["isoflop"].items()}
    for method, each in {**methods, "Minimum over training curves": found["curves"]}.items():
        lines += ["", method]
        if "refused" in each:
            lines.append(f"  refused: {each['refused']}")
            continue
        laws = {name: PowerLaw(**each[name]) for name in ("parameters", "tokens")}
        lines.append(f"  N* ∝ C^{_with(laws['parameters'].exponent, each.get('a'))}")
        lines.append(f"  D* ∝ C^{_with(laws['tokens'].exponent, each.get('b'))}")
        lines += [_optimum(flops, laws["parameters"].at(flops), laws["tokens"].at(flops)) for flops in budgets]
        if each["largest_left_out"] is not None:
            lines.append(f"  held-out largest budget: prediction error of N* {each['largest_left_out']:+.2%}")
    for name, each in found["best"].items():
        lines += ["", f"Best {name.replace('_', ' ')} against compute", _best_line(each)]
    lines += ["", "Parametric law, L = E + A / N^α + B / D^β"]
    law = found["parametric"]
    if "refused" in law:
        return "\n".join([*lines, f"  refused: {law['refused']}"])
    lines += [
        f"  {name} = {_with(law[name], law['intervals'][name])}" for name in ("E", "A", "B", "alpha", "beta", "a")
    ]
    fitted = law_in(found)
    lines += [_optimum(flops, *fitted.optimal(flops)) for flops in budgets]
    if law["largest_left_out"] is not None:
        lines.append(f"  held-out largest budget: prediction error of the losses {law['largest_left_out']:+.2%}")
    return "\n".join(lines)


def plan_page(arguments: argparse.Namespace) -> str:
    """Return the plan of the command's budget as text.

    Raises:
        ConfigurationError: neither FLOPs nor hours, both, or a budget below the smallest model.
    """
    device = DEVICES[arguments.device]
    if (arguments.flops is None) == (arguments.hours is None):
        raise ConfigurationError("plan: expected exactly one of --flops and --hours")
    peak = device.peak("bfloat16")
    flops = arguments.flops or arguments.gpus * arguments.hours * 3_600 * peak * arguments.mfu
    own = _law_of(arguments.law) if arguments.law else None
    law = CHINCHILLA if own is None else law_in(own)
    sizes = {"vocab_size": arguments.vocab, "context_length": arguments.context}
    found = plan(flops, **sizes, unique_tokens=arguments.unique_tokens, law=law)
    cost = budget(
        found.config, device, num_tokens=found.num_tokens, num_devices=arguments.gpus, utilization=arguments.mfu
    )
    told = _between_published(found, arguments.unique_tokens)
    if own is not None:
        at = predicted_interval(own, found.num_parameters, found.num_tokens)
        told = f"95% interval {at.low:.4f} to {at.high:.4f}"
    parameters, tokens = twenty_to_one(flops)
    config = found.config
    lines = [
        f"budget         {flops:.4g} FLOPs; the plan spends {found.flops:.4g}",
        f"law            {law.source}",
        f"model          {found.num_parameters:,} parameters: {config.num_layers} layers, d_model {config.d_model}, "
        f"{config.num_heads} heads, d_ff {config.d_ff}",
        f"tokens         {found.num_tokens:,}, {found.tokens_per_parameter:.3g} per parameter"
        f"{_epochs(found, arguments.unique_tokens)}",
        f"20 to 1        {parameters:.3g} parameters, {tokens:.3g} tokens",
        f"batch          {found.batch_tokens:,} tokens; learning rate {found.learning_rate:.2g}",
        f"expected loss  {found.expected_loss:.4f} nats per token ({told})",
        f"memory         {cost.memory.total / 1e9:.1f} GB of {device.memory_bytes / 1e9:.0f} at {cost.microbatch_size} "
        f"sequences per microbatch{'' if cost.fits else ': DOES NOT FIT one device'}",
        f"time           {duration(cost.seconds)} on {arguments.gpus} × {device.name} at {arguments.mfu:.0%}",
        *(f"note           {note}" for note in found.notes),
        "",
        launch_command(found, cost.microbatch_size),
    ]
    return "\n".join(lines)


def _between_published(found: Plan, unique_tokens: float) -> str:
    losses = published_range(found, unique_tokens)
    if losses is None:
        return f"a published fit exceeds ln {found.config.vocab_size:,}, the loss of a uniform guess; no range is given"
    low, high = losses
    return (
        f"{low:.4f} to {high:.4f} between the two published fits of the same runs, which covers less than a 95% "
        "interval"
    )


def _law_of(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}, expected the output file of `fit --json`") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: not a JSON object, expected the output file of `fit --json`")
    return found


def launch_command(found: Plan, microbatch_size: int) -> str:
    """Return the command that trains the plan, with at most `microbatch_size` windows at once."""
    batch_size = max(1, found.batch_tokens // found.config.context_length)
    values = {
        "num_tokens": found.num_tokens,
        "batch_size": batch_size,
        "microbatch_size": microbatch_size if microbatch_size < batch_size else 0,
        "learning_rate": f"{found.learning_rate:.3g}",
        "optimizer": "adamw",
    }
    shape = {name: value for name, value in shape_fields(found.config).items() if name in to_mapping(found.config)}
    settings = " ".join(f"--set {name}={value}" for name, value in values.items())
    model = " ".join(f"--set model.{name}={str(value).lower()}" for name, value in shape.items())
    return f"python -m lm.training --data SHARDS --preset tiny_cpu {settings} {model}"


def _epochs(found: Plan, unique_tokens: float) -> str:
    return f", {found.num_tokens / unique_tokens:.3g} epochs" if unique_tokens < found.num_tokens else ""


def _best_line(fit: Mapping[str, Any]) -> str:
    if "refused" in fit:
        return f"  refused: {fit['refused']}"
    law = PowerLaw(**fit["law"])
    return f"  {law.coefficient:.4g} · C^{_with(law.exponent, fit['exponent'])}"


def _with(value: float, bounds: Mapping[str, float] | None) -> str:
    if bounds is None:
        return f"{value:.4g} (no interval)"
    return f"{value:.4g} (95%: {bounds['low']:.4g} to {bounds['high']:.4g})"


def _optimum(flops: float, parameters: float, tokens: float) -> str:
    return (
        f"  at {flops:.3g} FLOPs: N* {parameters:.4g}, D* {tokens:.4g}, {tokens / parameters:.3g} tokens per parameter"
    )
