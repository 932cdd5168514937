"""The list of steps: one order, one word a step, from which everything else follows."""

import dataclasses

import pytest

from lm import storage
from lm.configuration import field_descriptions
from lm.errors import ConfigurationError, InputError
from pipelines.curation.steps import CORPUS, CURATION, EXTRACTION, JUDGING, step_before
from pipelines.documents.schema import Stage
from pipelines.filters.trained import BUILT_IN_LABELS, HarmfulConfig, NotJudged
from pipelines.paths import artifact_path
from pipelines.sources.built_in_crawl import built_in_files


def test_steps_have_names_of_their_own():
    for names in ([step.stage for step in CURATION], [step.artifact for step in CURATION]):
        assert len(set(names)) == len(names)
    assert CURATION[0] is EXTRACTION and CURATION[-1].artifact == CORPUS


def test_a_partition_ends_where_the_corpus_begins():
    borders = [step.partitioned for step in CURATION]
    assert borders == sorted(borders, reverse=True) and borders[0] and not borders[-1]
    assert [step_before(step) for step in CURATION[1:]] == list(CURATION[:-1])


@pytest.mark.parametrize("step", CURATION, ids=lambda step: step.stage)
def test_every_step_has_a_configuration_with_defaults_and_descriptions(step):
    config = step.config()
    described = field_descriptions(step.config)
    assert {field.name for field in dataclasses.fields(config) if field.init} <= described.keys()


@pytest.mark.parametrize("step", [step for step in JUDGING if step.classifiers is None], ids=lambda step: step.stage)
def test_a_stage_without_classifiers_is_its_own_configuration(step, tmp_path):
    stage = step.make_stage(step.config(), tmp_path, None)
    assert isinstance(stage, Stage) and stage.name == step.stage


@pytest.mark.parametrize("step", [step for step in JUDGING if step.classifiers], ids=lambda step: step.stage)
def test_classifiers_that_were_not_trained_are_named_with_the_way_out(step, tmp_path):
    with pytest.raises(InputError, match=f"{step.classifiers}: no classifiers found.*{step.stage}.judge: none"):
        step.open_classifiers(step.config(), tmp_path, [])
    stage = step.make_stage(step.config(judge="none"), tmp_path, None)
    assert isinstance(stage, NotJudged) and stage.name == step.stage


def trained(step, root, **summary):
    """An artifact in the place of a step's classifiers."""
    with storage.publish(
        artifact_path(step.classifiers, root=root), kind=step.classifiers, config={}, inputs={}, code=""
    ) as publication:
        (publication.path / "model").write_text("x")
        publication.summary.update(summary)


def built_in_crawl(root):
    """A built-in crawl of two files; their digests."""
    with storage.publish(
        artifact_path("demo_crawl", root=root), kind="demo_crawl", config={}, inputs={}, code=""
    ) as publication:
        (publication.path / "warc").mkdir()
        for name in ("warc/demo-00000.warc.gz", "warc/demo-00001.warc.gz"):
            (publication.path / name).write_text(name)
    return list(built_in_files(root).values())


@pytest.mark.fault(44)
@pytest.mark.parametrize("summary", [{BUILT_IN_LABELS: True}, {}], ids=["marked", "made before there was a mark"])
@pytest.mark.parametrize("step", [step for step in JUDGING if step.classifiers], ids=lambda step: step.stage)
def test_classifiers_of_the_built_in_crawl_judge_no_other(step, summary, tmp_path):
    trained(step, tmp_path, **summary)
    built_in, others = built_in_crawl(tmp_path), ["0" * 64]
    assert step.open_classifiers(step.config(), tmp_path, built_in) is not None
    assert step.open_classifiers(step.config(allow_demo_classifiers=True), tmp_path, others) is not None
    assert step.open_classifiers(step.config(judge="none"), tmp_path, others) is None
    for files in (others, [*built_in, *others], []):
        with pytest.raises(InputError, match="expected labels of real pages"):
            step.open_classifiers(step.config(), tmp_path, files)
    with pytest.raises(InputError) as refused:
        step.open_classifiers(step.config(), tmp_path, others)
    line = str(refused.value)
    assert "\n" not in line
    for word in (
        f"{step.stage}.judge: none",
        f"{step.stage}.allow_demo_classifiers: true",
        "such as",
        "docs/real_labels.md",
    ):
        assert word in line


@pytest.mark.parametrize("step", [step for step in JUDGING if step.classifiers], ids=lambda step: step.stage)
def test_classifiers_of_real_labels_judge_every_crawl(step, tmp_path):
    trained(step, tmp_path, **{BUILT_IN_LABELS: False})
    for files in (built_in_crawl(tmp_path), ["0" * 64]):
        assert step.open_classifiers(step.config(), tmp_path, files) is not None


def test_a_threshold_is_no_negative_number():
    with pytest.raises(ConfigurationError, match="toxic_threshold"):
        HarmfulConfig(toxic_threshold=-0.1)
