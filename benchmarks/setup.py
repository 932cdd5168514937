"""The price of `make setup` and `make demo` in a fresh clone: minutes, peak memory, disk and downloads.

The clone, pip's cache, Loam's cache and both homes lie in a temporary folder, so nothing is there before. Downloads are
the sizes that pip reports for the files that it fetches; packages that a machine's own pip configuration finds in a
folder are counted apart, for pip reads them from disk. Which build of torch an index has decides most of both figures.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.report import Row, finish, parser
from benchmarks.shared_data import REPOSITORY
from lm.errors import run_command
from lm.progress import track

MB, GB = 10**6, 10**9
_UNITS = {"bytes": 1, "kB": 1000, "MB": MB}
_FETCHED = re.compile(r"\bDownloading \S+ \(([0-9.]+) (bytes|kB|MB)\)")
_READ = re.compile(r"\bProcessing (/\S+\.(?:whl|tar\.gz|zip))")


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("setup", (__doc__ or "").strip())
    options.add_argument("--skip-demo", action="store_true", help="measure `make setup` alone")
    arguments = options.parse_args(argv)
    targets = ("setup",) if arguments.skip_demo else ("setup", "demo")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="loam-setup-") as name:
        folder = Path(name)
        clone = folder / "loam"
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], check=True)
        environment = _environment(folder)
        for target in track(targets, "make", unit="target"):
            rows += _measure(target, clone, environment, folder)
        rows += pip_rows((folder / "pip.log").read_text("utf-8", "replace"))
    return finish("setup", rows, arguments)


def _environment(folder: Path) -> dict[str, str]:
    """Return this process's environment without the virtual environment, with every cache below `folder`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LOAM_", "DAGSTER_"))}
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "NUMBA_CACHE_DIR", "PIP_NO_CACHE_DIR", "MAKEFLAGS"):
        inherited.pop(name, None)
    own = {"PIP_CACHE_DIR": folder / "pip", "PIP_LOG": folder / "pip.log", "LOAM_CACHE": folder / "cache"}
    return inherited | {name: str(path) for name, path in own.items()}


def _measure(target: str, clone: Path, environment: Mapping[str, str], folder: Path) -> list[Row]:
    """Run `make TARGET` and return its rows; the disk figure is the folder's size afterwards.

    Raises:
        CalledProcessError: the command failed.
    """
    command = ["make", target, f"PYTHON={Path(sys.base_prefix) / 'bin' / 'python3'}"]
    start = time.monotonic()
    subprocess.run(command, cwd=clone, env=dict(environment), stdout=sys.stderr, check=True)
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # of the largest process so far
    return [
        Row(name=f"make {target}: time", value=seconds / 60, unit="minutes", better="lower"),
        Row(name=f"make {target}: largest process", value=peak / 2**30, unit="GiB", better="lower"),
        Row(name=f"make {target}: disk afterwards", value=_disk_bytes(folder) / GB, unit="GB", better="lower"),
    ]


def _disk_bytes(folder: Path) -> int:
    """Return the disk use of the files below a folder, each file once."""
    sizes: dict[int, int] = {}
    for path, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(path, name))  # noqa: PTH118 - for 100,000 files
            sizes[status.st_ino] = 512 * status.st_blocks
    return sum(sizes.values())


def pip_rows(log: str) -> list[Row]:
    """Return the rows of packages: bytes that pip fetched, and bytes of package files that it read from a folder."""
    fetched = sum(float(number) * _UNITS[unit] for number, unit in _FETCHED.findall(log))
    local = {Path(path) for path in _READ.findall(log)}
    read = sum(path.stat().st_size for path in local if path.is_file())
    return [
        Row(name="packages downloaded", value=fetched / MB, unit="MB", better="lower"),
        Row(name="packages read from a local folder", value=read / MB, unit="MB", better="lower"),
    ]


if __name__ == "__main__":
    run_command(main)
