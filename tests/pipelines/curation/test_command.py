"""`python -m pipelines.curation`: WARC files in, the corpus, the report and the funnel out."""

import pytest

from lm.errors import ConfigurationError, InputError
from lm.storage import open_artifact
from pipelines.curation.__main__ import main
from pipelines.curation.settings import FILE_NAME, read_settings
from pipelines.curation.steps import CURATION
from pipelines.paths import artifact_path
from tests.pipelines import warc_making as making

UNJUDGED = "harmful: {judge: none}\nquality: {judge: none}\nheuristics: {overrides: {min_words: 5, stop_words: null}}\n"


@pytest.fixture
def warc(tmp_path):
    """A folder of two WARC files with three near-duplicates."""
    first, second, third = (making.article(1, f"Page {number}.") for number in range(3))
    return making.folder_of(tmp_path / "warc", {"a": [first, second], "b": [third]})


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(UNJUDGED)
    return path


def run(warc, home, settings, *more):
    return main(["--warc", *map(str, warc), "--out", str(home), "--config", str(settings), "--workers", "1", *more])


def test_a_folder_becomes_a_corpus(warc, settings, tmp_path, capsys):
    home = tmp_path / "home"
    assert run([warc], home, settings, "--files-per-group", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(CURATION)]] == [step.stage for step in CURATION]
    made = open_artifact(artifact_path("clean_documents", root=home))
    assert made.summary["num_kept"] == 1  # three near-duplicates
    assert f"corpus  {made.folder}" in lines
    assert read_settings(home / FILE_NAME) == read_settings(settings)
    report = open_artifact(artifact_path("curation_report", root=home))
    for name in ("report.html", "report.md"):
        assert "min_words: 5" in report.file(name).read_text()


def test_files_by_name_are_one_group_as_the_folder_is(warc, settings, tmp_path):
    assert run([warc], tmp_path / "one", settings) == run(sorted(warc.iterdir()), tmp_path / "two", settings) == 0
    digests = [open_artifact(artifact_path("unique_documents", root=tmp_path / home)).digest for home in ("one", "two")]
    assert digests[0] == digests[1]


def test_missing_classifiers_are_said_before_anything_is_written(warc, tmp_path):
    settings = tmp_path / "none.yaml"
    settings.write_text("quality: {judge: none}")
    with pytest.raises(InputError, match="harm_classifiers: no classifiers found"):
        run([warc], tmp_path / "home", settings)
    assert not (tmp_path / "home").exists()


def test_another_settings_file_is_refused_by_a_home_that_has_one(warc, settings, tmp_path):
    run([warc], tmp_path / "home", settings)
    settings.write_text(UNJUDGED + "language: {threshold: 0.5}")
    with pytest.raises(ConfigurationError, match=r"language\.threshold is 0\.65, not 0\.5; a corpus has one settings"):
        run([warc], tmp_path / "home", settings)


def test_what_is_not_there_is_named(settings, tmp_path):
    for place in ("nowhere", "nothing.warc.gz"):
        with pytest.raises(InputError, match=place):
            run([tmp_path / place], tmp_path / "home", settings)


def test_a_folder_among_several_paths_is_named(warc, settings, tmp_path):
    with pytest.raises(InputError, match="warc: a folder among several paths"):
        run([warc, warc / "a.warc.gz"], tmp_path / "home", settings)


@pytest.mark.parametrize("option", ["--workers", "--files-per-group"])
@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5"])
def test_numbers_below_one_are_refused(warc, settings, tmp_path, option, number, capsys):
    with pytest.raises(SystemExit):
        run([warc], tmp_path / "home", settings, option, number)
    assert f"'{number}', expected a whole number of at least 1" in capsys.readouterr().err
