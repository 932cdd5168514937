"""`python -m benchmarks.screenshots`: the pictures of the README and the docs, of the demo's run in Dagster's UI.

Needs a Chromium (Debian's package `chromium`), playwright (extra `browser`), and what `make demo` has made in this
checkout. The group that the dialog shows is registered nowhere: the dialog is left without a launch.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lm.errors import InputError, run_command
from lm.storage import open_artifact
from pipelines import paths
from pipelines.report.curation import PAGE

IMAGES = Path(__file__).parent.parent / "docs" / "images"
_PAGES = {
    "graph": ("/locations/loam/asset-groups/curation/lineage", (1600, 620)),
    "groups": ("/asset-groups", (1600, 620)),
    "pretrained_model": ("/assets/pretrained_model?view=overview", (1600, 1000)),
}
_RENDER_MS = 12_000
_CLICK_MS = 120_000
_DIALOG_MS = 2_000
_START_S = 120


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.screenshots", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--chromium", default="chromium", help="the browser's command (default: chromium)")
    arguments = parser.parse_args(argv)
    executable = shutil.which(arguments.chromium)
    if executable is None:
        raise InputError(f"{arguments.chromium}: no such command, expected a Chromium")
    if not os.environ.get("DAGSTER_HOME"):
        raise InputError("DAGSTER_HOME is not set, expected the folder that `make demo` used (.dagster)")
    IMAGES.mkdir(parents=True, exist_ok=True)
    report = open_artifact(paths.artifact_path("curation_report")).file(PAGE)
    with _browser(executable) as browser, _server() as address:
        _shoot(browser, report.as_uri(), "curation_report", (1600, 1000))
        for name, (path, window) in _PAGES.items():
            _shoot(browser, address + path, name, window)
        _shoot_dialog(browser, address)
    return 0


@contextmanager
def _browser(executable: str) -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise InputError("playwright is not installed, expected the extra `browser`") from None
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def _shoot(browser: Any, address: str, name: str, window: tuple[int, int]) -> None:
    """A picture of a page, once its scripts had time to draw it."""
    page = browser.new_page(viewport={"width": window[0], "height": window[1]})
    page.goto(address)
    page.wait_for_timeout(_RENDER_MS)
    page.screenshot(path=str(IMAGES / f"{name}.png"))
    page.close()


def _shoot_dialog(browser: Any, address: str) -> None:
    """The dialog of the job `curate_crawl`, with the registered groups chosen."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(_CLICK_MS)
    end = time.monotonic() + _START_S
    while True:  # the daemons have started once the dialog does not warn of them
        page.goto(f"{address}/locations/loam/jobs/curate_crawl")
        page.get_by_role("button", name="Materialize all").click()
        page.get_by_text("Add a partition").wait_for()
        page.wait_for_timeout(_DIALOG_MS)
        if not page.get_by_text("daemon is not running").count():
            break
        if time.monotonic() > end:
            raise InputError(f"{address}: Dagster's daemons did not start within {_START_S} s")
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("dialog").get_by_text("Config", exact=True).click()
    page.wait_for_timeout(_DIALOG_MS)
    page.screenshot(path=str(IMAGES / "add_group.png"))
    page.close()


@contextmanager
def _server() -> Iterator[str]:
    """Dagster's web server and daemons on a free port of this machine; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    # The code location is that of the project file, as for `make ui`.
    command = [sys.executable, "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port)]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        _wait(address, server)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


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
