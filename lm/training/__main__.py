"""`python -m lm.training --data SHARDS --out FOLDER`: pre-train without Dagster.

Any field of `PretrainConfig` is set by `--set NAME=VALUE`, a field of the model by `--set model.NAME=VALUE`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm.configuration import from_mapping
from lm.errors import ConfigurationError, run_command
from lm.progress import visible


def main(argv: list[str] | None = None) -> int:
    """Train, print one line a report and the summary."""
    parser = argparse.ArgumentParser(prog="python -m lm.training", description="Pre-train a model on token shards.")
    parser.add_argument("--preset", default="tiny_cpu", help="a model preset (default: %(default)s)")
    parser.add_argument("--data", type=Path, required=True, help="a token shards artifact")
    parser.add_argument("--out", type=Path, required=True, help="where the trained model is published")
    parser.add_argument("--num-tokens", type=int, default=0, help="training tokens (default: one pass over the data)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a field of the configuration")
    arguments = parser.parse_args(argv)
    from lm.training.config import PretrainConfig
    from lm.training.pretrain import pretrain

    values = {"preset": arguments.preset, **_settings(arguments.set)}
    if arguments.num_tokens:
        values["num_tokens"] = arguments.num_tokens
    if not values.get("num_tokens") and not values.get("num_steps"):
        values["num_tokens"] = _num_training_tokens(arguments.data)
    artifact = pretrain(from_mapping(PretrainConfig, values), arguments.data, arguments.out, _print_event)
    print(json.dumps({"artifact": str(artifact.path), **artifact.summary}, indent=2))
    return 0


def _settings(pairs: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator:
            raise ConfigurationError(f"--set {pair}: expected NAME=VALUE")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if name.startswith("model."):
            values.setdefault("model", {})[name.removeprefix("model.")] = value
        else:
            values[name] = value
    return values


def _num_training_tokens(data: Path) -> int:
    from lm.shards import TokenShards

    return max(1, TokenShards.open(data, "train").num_tokens)


def _print_event(event: Mapping[str, object]) -> None:
    """Sentences always; numbers every tenth step where no bar is drawn."""
    step = event.get("step", 0)
    if "message" in event:
        print(event["message"], file=sys.stderr)
    elif not visible() and isinstance(step, int) and (step % 10 == 0 or "validation_loss" in event):
        print(
            "  ".join(f"{key} {value:.4g}" for key, value in event.items() if isinstance(value, int | float)),
            flush=True,
        )


if __name__ == "__main__":
    run_command(main)
