"""The command `python -m assets.demo`: a mistake is one line and an exit code."""

import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "assets.demo", *arguments],
        cwd=REPOSITORY,
        env={**{k: v for k, v in os.environ.items() if k != "DAGSTER_HOME"}, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_demo_without_dagster_home_says_what_to_do():
    ended = command()
    assert ended.returncode == 2
    assert (
        ended.stderr == "error: DAGSTER_HOME is not set, expected the folder of the Dagster instance; run `make demo`\n"
    )


def test_the_demo_ends_with_the_assets_own_line_and_code(tmp_path):
    ended = command("--num-pages", "0", "--home", str(tmp_path / "home"), DAGSTER_HOME=str(tmp_path / "dagster"))
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == "error: demo_crawl: DemoCrawlConfig.num_pages: 0, expected at least 1"
    assert "Traceback" not in ended.stderr


@pytest.mark.fault(18)
def test_the_demo_on_a_full_disk_names_the_asset_and_the_bytes(small_disk, tmp_path):
    ended = command("--home", str(small_disk / "home"), DAGSTER_HOME=str(tmp_path / "dagster"))
    assert ended.returncode == 3
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("error: demo_crawl: ")
    assert "no space left on device; more than" in last
    assert "bytes needed" in last
    assert not list((small_disk / "home" / "artifacts" / "demo_crawl").glob(".staging*"))
    assert "Traceback" not in ended.stderr
