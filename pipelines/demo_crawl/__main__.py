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
        description="Write a crawl of known truth: WARC files, truth.parquet, and data for alignment.",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="where to write; must be empty or new"
    )
    parser.add_argument(
        "--num-pages",
        type=int,
        default=defaults.num_pages,
        help="pages to write (default %(default)s); 2_000 is allowed",
    )
    parser.add_argument(
        "--seed", type=int, default=defaults.seed, help="another seed, another crawl (default %(default)s)"
    )
    parser.add_argument(
        "--num-warc-files",
        type=int,
        default=defaults.num_warc_files,
        help="files to divide the pages among (default %(default)s)",
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
