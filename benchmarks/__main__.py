"""`python -m benchmarks`: run every benchmark and write its results to `benchmarks/results`."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from benchmarks.report import RESULTS
from lm.errors import run_command


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").strip())
    options.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    check = ["--check"] if options.parse_args(argv).check else []
    codes = []
    for subject in subjects():
        print(f"\n{subject}")
        module = importlib.import_module(f"benchmarks.{subject}")
        codes.append(module.main(["--json", str(RESULTS / f"{subject}.json"), *check]))
    return max(codes)


def subjects() -> list[str]:
    """Return the names of all benchmarks: the modules of this package with their own `main`."""
    modules = (path for path in Path(__file__).parent.glob("*.py") if path.stem != "__main__")
    return sorted(path.stem for path in modules if "\ndef main(" in path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_command(main)
