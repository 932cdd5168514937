"""Speed of generating the built-in crawl, on one core."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

from benchmarks.report import Row, finish, parser, timed
from lm.errors import run_command
from pipelines.demo_crawl import DemoCrawlConfig, write_demo_crawl

MIN_PAGES_PER_S = 400
MIB = 2**20


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("demo_crawl", (__doc__ or "").strip())
    options.add_argument(
        "--num-pages", type=int, default=20_000, metavar="N", help="pages to generate (default: 20,000)"
    )
    arguments = options.parse_args(argv)
    config = DemoCrawlConfig(num_pages=arguments.num_pages, num_warc_files=max(1, arguments.num_pages // 10_000))
    with tempfile.TemporaryDirectory() as folder:
        # Processor seconds: the generator is one thread, and other work on the machine is not its own.
        seconds = timed(lambda: write_demo_crawl(config, Path(folder)), time.process_time)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.warc.gz"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rows = [
        Row(
            name="pages a second of one core",
            value=arguments.num_pages / seconds,
            unit="pages/s",
            target=MIN_PAGES_PER_S,
        ),
        Row(name="peak memory", value=peak / MIB, unit="MiB"),
        Row(name="WARC files", value=size / MIB, unit="MiB"),
    ]
    return finish("demo_crawl", rows, arguments)


if __name__ == "__main__":
    run_command(main)
