"""The settings file: every mistake named, one file a corpus, no silent mixture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm.configuration import to_mapping
from lm.errors import ConfigurationError, InputError, UnreachableError
from lm.locations import locate
from lm.storage import publish
from pipelines.curation.settings import (
    FILE_NAME,
    EvaluationSources,
    Settings,
    check_same_settings,
    differences,
    evaluation_sets,
    home_settings,
    laid_over,
    pin_settings,
    read_settings,
    settings_of,
    settings_yaml,
)
from pipelines.decontamination.items import EvaluationSet
from pipelines.filters.heuristics import HeuristicFilter
from pipelines.filters.language import LanguageFilter
from pipelines.filters.run import run_stage
from tests.pipelines.published import publish_documents


def written(folder, text):
    path = folder / FILE_NAME
    path.write_text(text)
    return path


def test_what_the_file_leaves_out_has_its_default(tmp_path):
    found = read_settings(written(tmp_path, "language: {languages: [en, de]}\nharmful: {judge: none}\npii:\n"))
    assert found.language == LanguageFilter(languages=("en", "de"))
    assert found.harmful.judge == "none" and found.heuristics == HeuristicFilter()
    assert read_settings(written(tmp_path, "")) == Settings() == home_settings(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("langauge: {}", r"curation.yaml: unknown key 'langauge'; did you mean 'language'\?"),
        ("language: false", r"language: False is a bool, expected a mapping"),
        ("language: 0", r"language: 0 is a int, expected a mapping"),
        ("language: ''", r"language: '' is a str, expected a mapping"),
        ("language: []", r"language: \[\] is a list, expected a mapping"),
        ("1: {}", r"unknown key '1'"),
        ("language: {treshold: 0.5}", r"language: unknown key 'treshold'; did you mean 'threshold'\?"),
        ("dedup: {minhash: {ngrams: 3}}", r"dedup.minhash: unknown key 'ngrams'; did you mean 'ngram'\?"),
        ("language: {languages: en}", r"languages: 'en' is a str, expected a list"),
        ("harmful: {judge: maybe}", r"judge: 'maybe', expected one of 'classifier', 'none'"),
        ("quality: {threshold: .nan}", r"threshold: nan"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    with pytest.raises(ConfigurationError, match=message):
        read_settings(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
        ("- 1", "a list, expected a section"),
        ("[]", "a list, expected a section"),
        ("false", "a bool, expected a section"),
        ("0", "a int, expected a section"),
    ],
)
def test_what_is_no_settings_file_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_settings(written(tmp_path, text))
    with pytest.raises(InputError, match="no such file"):
        read_settings(tmp_path / "none.yaml")


def test_settings_come_back_from_their_own_yaml(tmp_path):
    settings = Settings(language=LanguageFilter(languages=("de", "en"), threshold=0.5))
    assert read_settings(written(tmp_path, settings_yaml(to_mapping(settings)))) == settings


def test_a_corpus_has_one_settings_file(tmp_path):
    settings = Settings(language=LanguageFilter(threshold=0.5))
    pin_settings(tmp_path, settings)
    pin_settings(tmp_path, settings)
    assert home_settings(tmp_path) == settings
    with pytest.raises(ConfigurationError, match=r"yaml: language.threshold is 0.5, not 0.65; a corpus has one"):
        pin_settings(tmp_path, Settings())


def test_what_a_launch_sets_is_laid_over_the_file():
    filed = LanguageFilter(languages=("de",), threshold=0.5)
    launched = to_mapping(LanguageFilter(threshold=0.7))
    assert laid_over(filed, launched) == LanguageFilter(languages=("de",), threshold=0.7)
    assert laid_over(filed, to_mapping(LanguageFilter())) == filed
    assert laid_over(HeuristicFilter(overrides={"min_words": 3}), {"overrides": {"max_words": 9}}).overrides == {
        "max_words": 9
    }


def judged(folder, settings, number):
    source = publish_documents(folder / str(number) / "in", ["text"], first=number)
    return run_stage(settings, source, folder / str(number) / "out")


def test_groups_curated_with_different_settings_do_not_merge_silently(tmp_path):
    one, same, other = (
        judged(tmp_path, LanguageFilter(languages=languages), number)
        for number, languages in enumerate([("en",), ("en",), ("en", "de")])
    )
    assert settings_of(one)["language"]["languages"] == ["en"]
    check_same_settings({"a/g0000": one, "a/g0001": same})
    message = r"'a/g0000' and 'a/g0001' were curated with different settings: language.languages is \['en'\] and"
    with pytest.raises(ConfigurationError, match=message):
        check_same_settings({"a/g0001": other, "a/g0000": one})


plain = st.recursive(
    st.integers() | st.text(max_size=2), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)


@given(plain, plain)
def test_two_values_differ_somewhere_or_are_equal(one, other):
    assert (not list(differences(one, other))) == (one == other)


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(InputError, match=r"curation\.yaml: is a folder"):
        home_settings(tmp_path)


@pytest.mark.fault(17)
def test_settings_are_pinned_whole_or_not_at_all(tmp_path, monkeypatch):
    """A process killed while it writes leaves no half of a file, whose other half would be defaults."""

    def killed(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        pin_settings(tmp_path, Settings(language=LanguageFilter(threshold=0.5)))
    assert not (tmp_path / FILE_NAME).exists()


def test_a_store_has_settings_too(s3):
    root = locate(f"{s3.bucket()}/home")
    assert home_settings(root) == Settings()
    settings = Settings(language=LanguageFilter(threshold=0.5))
    pin_settings(root, settings)
    assert home_settings(root) == settings


@pytest.mark.fault(39)
def test_a_silent_store_is_not_a_home_without_settings(s3, monkeypatch):
    def silent(path):
        raise TimeoutError("no answer")

    root = locate(f"{s3.bucket()}/home")
    monkeypatch.setattr("lm.store_access.PATIENCE_S", 0.1)
    monkeypatch.setattr(type(root), "read_bytes", silent)
    with pytest.raises(UnreachableError):
        home_settings(root)


def test_held_out_prompts_are_sought_where_they_are(tmp_path):
    with publish(tmp_path / "data", kind="alignment_data", config={}, inputs={}, code="") as publication:
        (publication.path / "problems.jsonl").write_text("{}")
    data, own = publication.artifact, EvaluationSet(name="own", path="own.jsonl")
    both = EvaluationSources(sets=(own,))
    assert [each.name for each in evaluation_sets(both, data)] == ["problems", "own"]
    assert evaluation_sets(both, None) == [own]
    assert evaluation_sets(EvaluationSources(alignment_heldout=False, sets=(own,)), data) == [own]
