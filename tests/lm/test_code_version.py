"""The digest of code: found from the function that writes, and changed by the sources that its names lead to."""

import functools
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numba
import pytest

pytest.importorskip("resiliparse")  # the code that is followed here is that of the extraction

from lm import code_version, source_names, storage
from lm.code_version import code_digest, contributing_modules, follow, starting_names
from lm.errors import ConfigurationError
from lm.training.config import PretrainConfig
from pipelines.extract import extract_text
from pipelines.filters.repetition import RepetitionFilter
from tests.lm.test_storage import WORK


@pytest.fixture
def edited(monkeypatch):
    """Pretend that one module's source has another line."""
    real = source_names.source_of.__wrapped__

    def clear():
        for cached in (source_names.names_of, code_version._digest_from):
            cached.cache_clear()

    def edit(module, line=b"\n# edited"):
        for place in (source_names, code_version):
            monkeypatch.setattr(place, "source_of", lambda name: real(name) + (line if name == module else b""))
        clear()

    yield edit
    monkeypatch.undo()
    clear()


def module_level():
    """A function to start from."""
    return extract_text


@numba.njit
def machine_code(x):
    return x


@dataclass(frozen=True)
class Job:
    """An argument that holds another."""

    stages: tuple

    def run(self, publication):
        """A method to start from."""


HERE = "tests.lm.test_code_version"


def nested(value):
    def write(publication):
        return value

    return write


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (module_level, {"module_level"}),
        (functools.partial(module_level), {"module_level"}),
        (nested(1), {"nested"}),
        (lambda: None, {"*"}),
        (Job(()).run, {"Job"}),
        (machine_code, {"machine_code"}),
        (Job, {"Job"}),
        (functools.partial(functools.partial(module_level, Job(())), x=1), {"module_level", "Job"}),
        (nested(Job(())), {"nested", "Job"}),
        (functools.partial(module_level, nested), {"module_level"}),
    ],
)
def test_the_start_is_the_function_and_the_classes_it_was_given(function, names):
    assert set(starting_names(function)) == {f"{HERE}.{name}" for name in names}


def test_classes_are_found_inside_of_arguments():
    found = set(starting_names(functools.partial(module_level, {"a": [Job((RepetitionFilter(),))]}, PretrainConfig)))
    classes = {"pipelines.filters.repetition.RepetitionFilter", "lm.training.config.PretrainConfig", f"{HERE}.Job"}
    assert found >= classes


def test_an_edit_below_changes_the_digest_and_an_edit_elsewhere_does_not(edited):
    before = code_digest(module_level)
    for module, changes in {
        HERE: True,
        "pipelines.extract.charset": True,
        "pipelines.extract": False,
        "pipelines.extract.records": False,
        "lm.errors": False,
    }.items():
        edited(module)
        assert (code_digest(module_level) != before) == changes, module


def test_an_import_that_an_edit_adds_is_followed(edited):
    before, _ = follow([f"{HERE}.module_level"])
    added = b"\nfrom pipelines.filters import repetition\nextract_main_text = repetition.RepetitionFilter()\n"
    edited("pipelines.extract.html", added)
    after, _ = follow([f"{HERE}.module_level"])
    assert "pipelines.filters.repetition" in after - before


def test_a_name_that_is_passed_on_is_followed_to_its_definition(edited):
    before = code_digest(module_level)
    edited("pipelines.extract", b"\nfrom pipelines.extract.page_text import page_text as extract_text\n")
    assert code_digest(module_level) != before


def test_a_module_used_as_a_whole_counts_with_all_its_names():
    assert contributing_modules("pipelines.extract") >= {
        "pipelines.extract.html", "pipelines.extract.main_content", "pipelines.extract.charset", "pipelines.extract",
    }  # fmt: skip


def test_an_unknown_module_is_an_error():
    with pytest.raises(ModuleNotFoundError, match=r"lm\.nowhere"):
        contributing_modules("lm.nowhere")


def test_a_function_without_a_source_is_refused():
    space = {"__name__": "typed_in"}
    exec("def write(publication): pass", space)
    with pytest.raises(ConfigurationError, match=r"typed_in\.write: has no source file"):
        code_digest(space["write"])


def test_a_script_of_the_users_own_counts_whole(tmp_path):
    script = tmp_path / "mine.py"
    source = "from lm.code_version import code_digest\ndef write(publication): pass\nprint(code_digest(write))\n"
    environment = {**os.environ, "PYTHONPATH": str(Path(code_version.__file__).parents[1])}
    digests = set()
    for text in (source, source, source + "# edited\n"):
        script.write_text(text)
        run = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True)
        digests.add(run.stdout)
    assert len(digests) == 2


def test_make_finds_the_code_by_itself(tmp_path):
    def write(publication):
        (publication.path / "a.txt").write_text("x")

    work = {name: value for name, value in WORK.items() if name != "code"}
    assert storage.make(tmp_path / "a", write, **work).code == code_digest(write)
