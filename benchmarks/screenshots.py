"""`python -m benchmarks.screenshots`: the README's pictures, of the demo's run in Dagster's UI and of its report.

Needs a Chromium (Debian's package `chromium`), and what `make demo` has made in this checkout.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lm.errors import InputError, run_command
from lm.storage import open_artifact
from pipelines import paths
from pipelines.report.curation import PAGE

IMAGES = Path(__file__).parent.parent / "docs" / "images"
_PAGES = {
    "graph": "/locations/loam/asset-groups/curation/lineage",
    "pretrained_model": "/assets/pretrained_model?view=overview",
}
_WINDOW, _WIDE = "1600,1000", "1600,620"
_RENDER_MS = 25_000
_START_S = 120


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.screenshots", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--chromium", default="chromium", help="the browser's command (default: chromium)")
    arguments = parser.parse_args(argv)
    if shutil.which(arguments.chromium) is None:
        raise InputError(f"{arguments.chromium}: no such command, expected a Chromium")
    if not os.environ.get("DAGSTER_HOME"):
        raise InputError("DAGSTER_HOME is not set, expected the folder that `make demo` used (.dagster)")
    IMAGES.mkdir(parents=True, exist_ok=True)
    report = open_artifact(paths.artifact_path("curation_report")).file(PAGE)
    _shoot(arguments.chromium, report.as_uri(), IMAGES / "curation_report.png", _WINDOW)
    with _server() as address:
        for name, path in _PAGES.items():
            _shoot(arguments.chromium, address + path, IMAGES / f"{name}.png", _WIDE if name == "graph" else _WINDOW)
    return 0


def _shoot(chromium: str, address: str, target: Path, window: str) -> None:
    """A picture of a page, once its scripts had time to draw it."""
    with tempfile.TemporaryDirectory() as profile:
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
            f"--user-data-dir={profile}", f"--window-size={window}", f"--virtual-time-budget={_RENDER_MS}",
            f"--screenshot={target}", address,
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=180)


@contextmanager
def _server() -> Iterator[str]:
    """Dagster's web server on a free port of this machine; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "dagster_webserver",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "-w",
        "workspace.yaml",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(address, server)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/server_info", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise InputError(f"{address}: Dagster's web server did not start within {_START_S} s")


if __name__ == "__main__":
    run_command(main)
