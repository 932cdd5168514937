"""The documentation's commands are run, its files are written, its links and modules are there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lm.storage import open_artifact
from pipelines.paths import artifact_path
from tests.conftest import REPOSITORY

PAGES = sorted([*(REPOSITORY / "docs").glob("*.md"), REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"])
NOT_RUN = {
    "make demo": "takes ten minutes; tests/assets/graph/test_chain.py runs the same graph at a tiny size",
    "dagster job execute -m assets.definitions -j scaling_law": (
        "takes an hour; tests/assets/graph/test_scaling_law.py runs the same job at a tiny size"
    ),
    "make test": "this is it",
    "make ui": "a server that runs until it is stopped",
    "make check": "CI runs it before the tests",
    "make setup": "has run before any test can",
}
"""Commands that no test runs, with the reason."""

_BLOCK = re.compile(r"^```(\w+)(?: ([\w./]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    """The fenced blocks of a page: language, file name, text."""
    return _BLOCK.findall(page.read_text("utf-8"))


def commands(text):
    """The commands of a console block, their continuation lines joined."""
    return [line[2:] for line in text.replace("\\\n  ", "").splitlines() if line.startswith("$ ")]


def run(command, folder, root=REPOSITORY):
    """The output of a command in a folder, with this interpreter as `python`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOAM_")} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(root),
        "LOAM_PROGRESS": "0",
        "DAGSTER_HOME": str(folder / ".dagster"),
    }
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command.replace(".venv/bin/python", "python")],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert ended.returncode == 0, f"{command}\n{ended.stdout[-2000:]}{ended.stderr[-3000:]}"
    return ended.stdout


def test_there_are_commands_to_run():
    consoles = [text for page in PAGES for kind, _, text in blocks(page) if kind == "console"]
    found = [command for text in consoles for command in commands(text)]
    assert len(found) >= 10 and set(NOT_RUN) & set(found)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem not in ("your_own_stage", "README")], ids=lambda page: page.stem
)
def test_the_commands_of_a_page_run_in_their_order(page, tmp_path):
    (tmp_path / ".dagster").mkdir()
    for kind, name, text in blocks(page):
        if kind == "yaml" and name:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        for command in commands(text) if kind == "console" else ():
            if command.split(" #")[0].strip() not in NOT_RUN:
                run(command, tmp_path)


def test_a_stage_of_ones_own_is_one_file_and_one_entry(tmp_path):
    root = tmp_path / "checkout"
    for room in ("lm", "pipelines", "assets"):
        shutil.copytree(REPOSITORY / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    page = blocks(REPOSITORY / "docs" / "your_own_stage.md")
    (name, source) = next((name, text) for kind, name, text in page if kind == "python")
    entry = next(text for _, name, text in page if name == "entry")
    (root / name).write_text(source)
    steps = root / "pipelines" / "curation" / "steps.py"
    module, cls = name.removesuffix(".py").replace("/", "."), re.search(r"class (\w+)", source)[1]
    before, imports = '    Step(\n        stage="quality",', "import HeuristicFilter\n"
    text = steps.read_text()
    assert text.count(before) == 1
    steps.write_text(text.replace(before, entry + before).replace(imports, f"{imports}from {module} import {cls}\n"))
    folder = tmp_path / "work"
    folder.mkdir()
    for command in [each for kind, _, text in page if kind == "console" for each in commands(text)]:
        told = run(command, folder, root)
    (row,) = [line.split() for line in told.splitlines() if line.startswith("digits")]
    assert int(row[3]) > 0  # it removed something
    assert "digit_documents" in {path.name for path in (folder / "corpus" / "artifacts").iterdir()}
    code = (
        "from assets.definitions import defs; import dagster; graph = defs.resolve_asset_graph();"
        "print(*sorted(k.to_user_string() for k in graph.get(dagster.AssetKey('quality_documents')).parent_keys))"
    )
    assert run(f'python -W ignore -c "{code}"', folder, root).split() == ["digit_documents", "quality_classifier"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_modules_are_there(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for module in re.findall(r"python -m ((?:lm|pipelines|assets|benchmarks)[\w.]*)", text):
        place = REPOSITORY / Path(*module.split("."))
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists() or (place / "__init__.py").exists()


def test_the_readmes_path_for_real_crawls_ends_in_a_corpus(tmp_path):
    """On a fresh home, command by command; without its settings the path stops where labels are missing."""
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    section = readme[readme.index("## Real crawls") : readme.index("## Documentation")]
    ((_, name, settings), (_, _, console)) = _BLOCK.findall(section)
    (tmp_path / ".dagster").mkdir()
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(settings)
    for command in commands(console):
        run(command, tmp_path)
    home = tmp_path / ".loam"
    masked = open_artifact(artifact_path("masked_documents", "local/g0000", home)).summary
    corpus = open_artifact(artifact_path("clean_documents", root=home)).summary
    assert 0 < corpus["num_kept"] <= masked["num_kept"]
    report = open_artifact(artifact_path("curation_report", root=home)).file("report.md").read_text()
    assert "Not scored, every document kept: harmful, quality." in report
