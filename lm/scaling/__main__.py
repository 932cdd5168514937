"""Plan a training run for a budget, fit scaling laws to points, or serve training runs to a client.

python -m lm.scaling plan --flops 1e21
python -m lm.scaling plan --gpus 8 --hours 24 --device h200 --unique-tokens 5e9
python -m lm.scaling fit POINTS.csv --count non_embedding
python -m lm.scaling serve --data SHARDS --home FOLDER --budget 1e15
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from lm.accounting.budget import DEFAULT_MFU
from lm.accounting.devices import DEVICES
from lm.command_line import add_command
from lm.errors import run_command
from lm.locations import locate
from lm.scaling import commands


def main(argv: list[str] | None = None) -> int:
    """Run one of the commands."""
    arguments = _parser().parse_args(argv)
    if arguments.command == "plan":
        print(commands.plan_page(arguments))
    elif arguments.command == "fit":
        found = commands.fit(arguments.points, arguments.count, arguments.draws, arguments.seed)
        if arguments.json:
            arguments.json.write_text(json.dumps(found, indent=2) + "\n")
        print(commands.fit_page(found, arguments.flops))
    else:
        from lm.scaling.training_api.service import serve  # FastAPI is an extra

        serve(arguments.home, arguments.data, arguments.budget, host=arguments.host, port=arguments.port)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lm.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    chosen = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _plan_options(add_command(chosen, "plan", "plan the compute-optimal model and number of tokens for a budget"))
    fit = add_command(chosen, "fit", "fit scaling laws to points in CSV or JSON")
    fit.add_argument("points", type=Path, help="columns: loss and two of parameters, tokens, flops")
    fit.add_argument(
        "--count",
        choices=("total", "non_embedding"),
        default="total",
        help="which parameters N counts (default: total)",
    )
    fit.add_argument("--draws", type=_count, default=400, help="bootstrap draws (default: 400)")
    fit.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    fit.add_argument("--flops", type=_positive, nargs="*", default=[], help="budgets to extrapolate to")
    fit.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write all numbers and bootstrap draws to this file, the input of `plan --law`",
    )
    serve = add_command(chosen, "serve", "serve training runs under a FLOPs budget over HTTP")
    serve.add_argument("--data", type=locate, required=True, metavar="SHARDS", help="token shards artifact")
    serve.add_argument("--home", type=Path, required=True, help="folder of the queue and the training runs")
    serve.add_argument("--budget", type=_positive, required=True, help="FLOPs budget of all training runs together")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8_100, help="port to listen on (default: %(default)s)")
    return parser


def _plan_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--flops", type=_positive, help="FLOPs budget; or give --hours with --gpus and --device")
    parser.add_argument("--gpus", type=_count, default=1, help="devices (default: 1)")
    parser.add_argument("--hours", type=_positive, help="wall-clock hours on all devices")
    parser.add_argument("--device", choices=[*DEVICES], default="h200", help="kind of device (default: h200)")
    parser.add_argument(
        "--mfu",
        type=_positive,
        default=DEFAULT_MFU,
        help="model FLOPs utilization, as a share of the peak rate (default: .4)",
    )
    parser.add_argument("--vocab", type=_count, default=32_000, help="vocabulary size (default: 32,000)")
    parser.add_argument("--context", type=_count, default=1_024, help="context length, in tokens (default: 1,024)")
    parser.add_argument(
        "--unique-tokens",
        type=_positive,
        default=math.inf,
        help="tokens of the training text, each counted once however often it is repeated (default: unlimited)",
    )
    parser.add_argument("--law", type=Path, metavar="FILE", help="law from `fit --json` (default: Chinchilla's law)")


def _positive(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a finite number above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected at least 1")
    return value


if __name__ == "__main__":
    run_command(main)
