"""Dagster's UI on an empty instance, and a Chromium that looks at it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

collect_ignore_glob = [] if os.environ.get("LOAM_BROWSER_TESTS") else ["test_*.py"]
"""The tests take minutes, so that `make test` leaves them out; `make test-browser` sets the variable."""

CHROMIUM = os.environ.get("LOAM_CHROMIUM", "chromium")
PATIENCE_S = 900
CLICK_MS = 300_000
"""Ends of waiting, far beyond what is needed on a busy machine: a test waits for what it needs, not for a time."""


class UI:
    """A running UI: its address, its home, and what its API says of runs."""

    def __init__(self, address, home, environment):
        self.address, self.home, self.environment = address, home, environment

    def ask(self, query):
        request = urllib.request.Request(
            f"{self.address}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def runs(self):
        """The newest run first: id, job, status."""
        query = "{runsOrError{... on Runs{results{runId pipelineName status}}}}"
        return self.ask(query)["runsOrError"]["results"]

    def end_of(self, run_id, *ends):
        """The status of a run once it has ended, or is one of `ends`."""
        ends = {*ends, "SUCCESS", "FAILURE", "CANCELED"}

        def status():
            return next(run["status"] for run in self.runs() if run["runId"] == run_id)

        self.wait_until(lambda: status() in ends, lambda: f"run {run_id} is {status()}")
        return status()

    def newest_run(self, after, page):
        """The id of a run that was not among those of `after`; where none comes, what the page's dialogs say."""
        self.wait_until(
            lambda: any(run["runId"] not in after for run in self.runs()),
            lambda: f"no run was launched; {page.url} says: {page.get_by_role('dialog').all_inner_texts()}",
        )
        return next(run["runId"] for run in self.runs() if run["runId"] not in after)

    def wait_until(self, holds, told):
        """Wait until `holds()`; fail with `told()` where that takes longer than any machine should."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, told()
            time.sleep(0.5)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def ui(tmp_path_factory):
    """`make ui`, as the Makefile starts it, on a port and an instance of the test's own."""
    dg_command = Path(sys.executable).with_name("dg")
    if not dg_command.exists():
        pytest.skip(f"{dg_command}: not installed")
    folder, port = tmp_path_factory.mktemp("ui"), free_port()
    environment = {
        **os.environ,
        "LOAM_HOME": str(folder / "home"),
        "DAGSTER_HOME": str(folder / "dagster"),
        "LOAM_WARC_FOLDER": str(folder / "watched"),
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
    }
    (folder / "watched").mkdir()
    prepare = [sys.executable, "-m", "assets", "prepare"]
    subprocess.run(prepare, cwd=REPOSITORY, env=environment, check=True, timeout=PATIENCE_S)
    command = [dg_command, "dev", "--no-check-yaml", "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "log"
    with log.open("w") as lines:
        server = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=lines, stderr=lines, start_new_session=True
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(address, server, log)
            yield UI(address, folder / "home", environment)
        finally:
            os.killpg(server.pid, signal.SIGINT)
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()
    lines = log.read_text()
    assert "warning" not in lines.partition("Serving dagster-webserver")[0].lower(), lines


def wait_for(address, server, log):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/server_info", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{address}: not there after {PATIENCE_S} s\n{log.read_text()}")


@pytest.fixture(scope="module")
def browser():
    """A Chromium, or a skip that says what is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `browser`)")
    executable = shutil.which(CHROMIUM)
    if executable is None:
        pytest.skip(f"{CHROMIUM}: no such command (Debian's package `chromium`; LOAM_CHROMIUM names another)")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, ui):
    """A page of the UI; where a test fails, its picture lies in the folder LOAM_BROWSER_PICTURES."""
    opened = browser.new_page(viewport={"width": 1500, "height": 950}, base_url=ui.address)
    opened.set_default_timeout(CLICK_MS)
    yield opened
    if (folder := os.environ.get("LOAM_BROWSER_PICTURES")) is not None:
        name = os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2].split()[0]
        opened.screenshot(path=str(Path(folder) / f"{name}.png"))
    opened.close()
