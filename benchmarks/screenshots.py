"""`python -m benchmarks.screenshots`: the pictures of the README and the docs, of the demo's run in Dagster's UI.

Needs a Chromium (Debian's package `chromium`), playwright (extra `browser`), and what `make demo` has made in this
checkout. The UI runs on a copy of Dagster's records, so the group that the dialog adds is gone afterwards.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assets.automation.jobs import curate_crawl
from assets.definitions import defs
from lm.errors import InputError, run_command
from lm.storage import open_artifact
from pipelines import paths
from pipelines.report.curation import PAGE

IMAGES = Path(__file__).parent.parent / "docs" / "images"
_PAGES = {
    "graph": ("/locations/loam/asset-groups/curation/lineage", (1600, 900), "masked_documents"),
    "groups": ("/asset-groups", (1600, 900), "evaluation"),
    "pretrained_model": ("/assets/pretrained_model?view=overview", (1600, 1000), "bits_per_byte"),
}
"""Path, window, and a text that is there once the page is."""
_GROUP = "local/g0000"
_CONFIG = """ops:
  warc_files:
    config: {folder: /data/warcs}
  harmless_documents:
    config: {judge: none}
  quality_documents:
    config: {judge: none}"""
_CLICK_MS = 300_000
_START_S = 300
_DRAWN_MS = 4_000
"""Drawing: the graph moves to its place, and colours of states come, with no event at their end."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
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
        _shoot(browser, report.as_uri(), "curation_report", (1600, 1000), "Curation")
        for name, (path, window, text) in _PAGES.items():
            _shoot(browser, address + path, name, window, text)
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


def _shoot(browser: Any, address: str, name: str, window: tuple[int, int], text: str) -> None:
    """Save a picture of a page once the page shows the text and is drawn."""
    page = browser.new_page(viewport={"width": window[0], "height": window[1]})
    page.set_default_timeout(_CLICK_MS)
    page.goto(address)
    page.get_by_text(text, exact=True).first.wait_for()
    page.wait_for_timeout(_DRAWN_MS)
    page.screenshot(path=str(IMAGES / f"{name}.png"))
    page.close()


def _shoot_dialog(browser: Any, address: str) -> None:
    """Save a picture of the dialog of the job `curate_crawl`, with a new group and its configuration."""
    page = browser.new_page(viewport={"width": 1200, "height": 1040})
    page.set_default_timeout(_CLICK_MS)
    answers = itertools.count(1)
    num_assets = len(curate_crawl.selection.resolve(defs.resolve_asset_graph()))

    def is_last(response: Any) -> bool:
        query = response.request.post_data_json if response.request.method == "POST" else None
        return (query or {}).get("operationName") == "PartitionHealthQuery" and next(answers) == num_assets

    page.goto(f"{address}/locations/loam/jobs/curate_crawl")
    with page.expect_response(is_last):  # with the last state of the groups, the dialog resets its selection
        page.get_by_role("button", name="Materialize all").click()
    page.get_by_text("Add a partition").click()
    page.get_by_placeholder("name", exact=True).fill(_GROUP)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Launch 1 run").wait_for()
    page.get_by_role("dialog").get_by_text("Config", exact=True).click()
    page.get_by_role("button", name="Add config").click()
    page.locator(".CodeMirror").last.evaluate("(editor, text) => editor.CodeMirror.setValue(text)", _CONFIG)
    page.get_by_role("button", name="Save config").click()
    page.get_by_text("daemon is not running").wait_for(state="hidden")
    page.wait_for_timeout(_DRAWN_MS)
    page.screenshot(path=str(IMAGES / "add_group.png"))
    page.close()


@contextmanager
def _server() -> Iterator[str]:
    """Run Dagster's web server and daemons on a free port, on a copy of the records; yield the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    # The code location is that of the project file, as for `make ui`.
    command = [sys.executable, "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port)]
    quiet = subprocess.DEVNULL
    records = Path(tempfile.mkdtemp(prefix="loam-screenshots-"))
    shutil.copytree(os.environ["DAGSTER_HOME"], records, dirs_exist_ok=True)
    environment = {**os.environ, "DAGSTER_HOME": str(records)}
    server = subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet, start_new_session=True)
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
        shutil.rmtree(records, ignore_errors=True)


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
