"""The command line `python -m pipelines.trace`."""

import subprocess
import sys

from tests.conftest import REPOSITORY


def command(*arguments, home):
    return subprocess.run(
        [sys.executable, "-m", "pipelines.trace", *arguments, "--home", str(home)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_document_that_nobody_knows_is_one_line_and_exit_code_2(tmp_path):
    ended = command("https://example.org/", home=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ") and len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""


def test_help_names_what_to_give(tmp_path):
    ended = command("--help", home=tmp_path)
    assert ended.returncode == 0
    assert "a URL, or a doc_id" in ended.stdout
