"""`python -m pipelines.demo_crawl --out FOLDER`: write a demo crawl."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from lm.errors import run_command
from pipelines.demo_crawl.configuration import DemoCrawlConfig
from pipelines.demo_crawl.write import refuse_folder_in_use, write_demo_crawl


def main(argv: list[str] | None = None) -> int:
    """Write a demo crawl and print its counts as JSON."""
    defaults = DemoCrawlConfig()
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.demo_crawl",
        description="Write a synthetic crawl with ground truth: WARC files, truth.parquet, and alignment data.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="output folder, new or empty")
    parser.add_argument(
        "--num-pages",
        type=int,
        default=defaults.num_pages,
        help="number of pages (default %(default)s); underscores such as 2_000 are accepted",
    )
    parser.add_argument(
        "--seed", type=int, default=defaults.seed, help="random seed of the crawl (default %(default)s)"
    )
    parser.add_argument(
        "--num-warc-files",
        type=int,
        default=defaults.num_warc_files,
        help="number of WARC files (default %(default)s)",
    )
    arguments = parser.parse_args(argv)
    config = DemoCrawlConfig(
        num_pages=arguments.num_pages, seed=arguments.seed, num_warc_files=arguments.num_warc_files
    )
    print(json.dumps(_write_whole(config, arguments.out), indent=2))
    return 0


def _write_whole(config: DemoCrawlConfig, out: Path) -> dict[str, Any]:
    """Write a crawl beside `out` and rename it, so that an interrupted run leaves nothing behind."""
    refuse_folder_in_use(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        counts = write_demo_crawl(config, staging / "crawl")
        (staging / "crawl").replace(out)
    finally:
        shutil.rmtree(staging)
    return counts


if __name__ == "__main__":
    run_command(main)
