"""The README's figures are those of the recorded results."""

import pytest

from benchmarks import readme
from lm.errors import InputError
from tests.conftest import REPOSITORY


def test_the_readme_is_what_its_command_writes():
    assert readme.main(["--check"]) == 0, "run `python -m benchmarks.readme`"


def test_a_figure_that_drifted_is_noticed():
    text = (REPOSITORY / "README.md").read_text("utf-8")
    assert readme.written(text.replace("×", "x", 1)) == readme.written(text) == text


def test_a_missing_block_is_named():
    with pytest.raises(InputError, match="has no block 'cost'"):
        readme.written("# Loam\n")


def test_the_pictures_are_there():
    text = (REPOSITORY / "README.md").read_text("utf-8")
    assert all((REPOSITORY / "docs" / "images" / name).is_file() for name in ("graph.png", "curation_report.png"))
    assert text.count("docs/images/") == 3


def test_every_result_is_described():
    folder = REPOSITORY / "benchmarks" / "results"
    text = (folder / "README.md").read_text("utf-8")
    results = [path.name for path in folder.glob("*.json")]
    assert len(results) > 20
    assert [name for name in results if f"`{name}`" not in text] == []
