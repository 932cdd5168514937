"""Training: speed, overhead of the loop, and the loss on real prose after a quarter of an hour."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Row, finish, parser
from benchmarks.step_parts import part_rows
from benchmarks.training_cpu import overhead_rows, speed_rows
from benchmarks.training_gpu import gpu_rows
from benchmarks.training_prose import prose_rows
from lm.errors import run_command

PARTS = ("speed", "parts", "overhead", "prose", "gpu")


def rows(parts: list[str], minutes: float, curve_file: Path | None) -> Iterator[Row]:
    """Yield the rows of the chosen parts."""
    if "speed" in parts:
        yield from speed_rows()
    if "parts" in parts:
        yield from part_rows()
    if "overhead" in parts:
        yield from overhead_rows()
    if "prose" in parts:
        yield from prose_rows(minutes, curve_file)
    if "gpu" in parts:
        yield from gpu_rows()


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("training", (__doc__ or "").strip())
    options.add_argument(
        "--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure (default: all)"
    )
    options.add_argument(
        "--minutes", type=float, default=15, metavar="M", help="how long to train on prose (default: 15)"
    )
    options.add_argument("--curve", type=Path, metavar="FILE", help="write the prose model's loss curves as JSON")
    arguments = options.parse_args(argv)
    return finish("training", rows(arguments.parts, arguments.minutes, arguments.curve), arguments)


if __name__ == "__main__":
    run_command(main)
