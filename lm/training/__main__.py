"""Pre-train a model without Dagster: `python -m lm.training --preset tiny_cpu --data SHARDS`.

After an interruption, the same command resumes from the newest checkpoint. Curves of all metrics are in
OUT.work/tensorboard, and OUT.work/live.jsonl has one JSON line per step. `torchrun --nproc-per-node N -m lm.training …`
trains one model on several GPUs or machines; with `--max-restarts R` it resumes by itself after the loss of a rank.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm.configuration import field_descriptions, from_mapping, plain
from lm.errors import ConfigurationError, InputError, run_command
from lm.locations import locate
from lm.progress import visible
from lm.training.config import FROM_PRESET, PretrainConfig

_SHOWN = ("step", "loss", "validation_loss", "bits_per_byte", "learning_rate", "gradient_norm", "tokens_per_s",
          "mfu_measured", "seconds_left")  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Train, print one line a report and the summary."""
    arguments = _parser().parse_args(argv)
    from lm.parallel.launch import launched_rank
    from lm.training.pretrain import pretrain

    values = _merged(_from_file(arguments.config), _settings(arguments.set))
    if arguments.preset is not None:
        values["preset"] = arguments.preset
    if arguments.num_tokens:
        values["num_tokens"] = arguments.num_tokens
    if not values.get("num_tokens") and not values.get("num_steps"):
        values["num_tokens"] = _num_training_tokens(arguments.data, values.get("source_weights", {}))
    config = from_mapping(PretrainConfig, values)
    output = arguments.out or Path("trained") / config.preset
    artifact = pretrain(config, arguments.data, output, _print_event, arguments.tokenizer, arguments.chat)
    if launched_rank():
        return 0
    print(json.dumps({"artifact": str(artifact.path), **artifact.summary}, indent=2))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lm.training",
        description=__doc__,
        epilog=_fields(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--preset", help="a model preset (default: tiny_cpu)")
    parser.add_argument("--data", type=locate, required=True, metavar="SHARDS", help="a token shards artifact")
    parser.add_argument("--out", type=locate, help="path of the published model (default: trained/PRESET)")
    parser.add_argument(
        "--tokenizer",
        type=locate,
        help="tokenizer of the shards, for text samples and for bits per byte by source and during training",
    )
    parser.add_argument(
        "--chat",
        type=locate,
        metavar="SHARDS",
        help="token shards of chat text for `decay_chat_share`, made by lm.chat.shards",
    )
    parser.add_argument("--num-tokens", type=int, default=0, help="training tokens (default: one pass over the data)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="JSON file of configuration fields")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one configuration field, from the list below (repeatable)",
    )
    return parser


def _fields() -> str:
    """Return every field with its default and description, for --help."""
    lines = ["configuration fields (nested fields: --set model.NAME=VALUE; values are JSON or plain words):"]
    descriptions = field_descriptions(PretrainConfig)
    for field in dataclasses.fields(PretrainConfig):
        made = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        shown = "(the preset's)" if made is FROM_PRESET else json.dumps(plain(made))
        lines.append(f"  {field.name}={shown}")
        lines += textwrap.wrap(descriptions[field.name], 100, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: a {type(values).__name__}, expected an object of fields")
    return values


def _settings(pairs: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator:
            raise ConfigurationError(f"--set {pair}: expected NAME=VALUE")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        outer, inner, key = name.partition(".")
        values = _merged(values, {outer: {key: value} if inner else value})
    return values


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return both; of a field that both have as a mapping the entries of both, else the one in `over`.

    Raises:
        ConfigurationError: a single entry for a field that is not a mapping.
    """
    found = dict(under)
    for name, value in over.items():
        if isinstance(value, Mapping) and name in under:
            if not isinstance(under[name], Mapping):
                raise ConfigurationError(f"{name}: {under[name]!r}, expected a mapping beside {dict(value)}")
            value = {**under[name], **value}
        found[name] = value
    return found


def _num_training_tokens(data: Path, source_weights: Any) -> int:
    """Return the tokens of one pass over the sources that are read."""
    from lm.shards import TokenShards
    from lm.token_stream import TokenStream, source_names

    shards = TokenShards.open(data, "train")
    named = source_weights if isinstance(source_weights, Mapping) else {}
    known = set(named) & set(source_names(shards))
    return max(1, sum(len(TokenStream(shards, name)) for name in known) if known else shards.num_tokens)


def _print_event(event: Mapping[str, object]) -> None:
    """Print sentences and samples always; numbers every tenth step where no bar is drawn."""
    step = event.get("step", 0)
    if "message" in event:
        print(event["message"], file=sys.stderr)
    elif "sample" in event:
        print(f"step {step} sample: {event['sample']}")
    elif not visible() and isinstance(step, int) and (step % 10 == 0 or "validation_loss" in event):
        shown = [name for name in event if name in _SHOWN or "/" in name]
        print("  ".join(f"{name} {_number(event[name])}" for name in shown), flush=True)


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"


if __name__ == "__main__":
    run_command(main)
