"""Checks of the model against its corpus and the promoted model: each is seen failing by a planted fault."""

import pytest

from assets.graph.model_checks import no_regression, trained_on_clean_documents
from assets.support.promotion import promote, promoted
from assets.support.resources import LoamHome
from lm import storage
from lm.errors import InputError


@pytest.fixture
def home(tmp_path):
    return LoamHome(path=str(tmp_path))


def publish(home, name, inputs=(), **summary):
    with storage.publish(home.target(name), kind=name, config={}, inputs=dict(inputs), code="") as publication:
        (publication.path / "x").write_text(name)
        publication.summary.update(summary)
    return publication.artifact


def trained(home, bits_per_byte=1.0, evaluation_sets=("exam",), documents=None, shards=None):
    corpus = publish(home, "clean_documents", num_kept=7, evaluation_sets={name: {} for name in evaluation_sets})
    tokens = publish(home, "token_shards", {"documents": documents or corpus.digest})
    return publish(home, "pretrained_model", {"token_shards": shards or tokens.digest}, bits_per_byte=bits_per_byte)


@pytest.mark.parametrize(
    ("fault", "passed", "words"),
    [
        ({}, True, "7 documents, searched for 1 evaluation sets"),
        ({"shards": "other"}, False, "the model was trained on another version of token_shards"),
        ({"documents": "other"}, False, "token_shards were made from another version of clean_documents"),
        ({"evaluation_sets": ()}, False, "searched for 0 evaluation sets"),
    ],
)
def test_a_model_of_another_corpus_is_seen(home, fault, passed, words):
    trained(home, **fault)
    result = trained_on_clean_documents(home)
    assert result.passed is passed and words in result.description


def test_a_model_without_its_corpus_is_seen(home):
    publish(home, "pretrained_model", {"token_shards": "x"})
    assert not trained_on_clean_documents(home).passed


@pytest.mark.parametrize(("bits_per_byte", "passed"), [(0.5, True), (1.0, True), (1.009, True), (1.02, False)])
def test_a_model_that_is_worse_than_the_promoted_one_is_seen(home, bits_per_byte, passed):
    trained(home, 1.0)
    first = promote(home.root)
    trained(home, bits_per_byte)
    result = no_regression(home)
    assert result.passed is passed and result.metadata["promoted"].value == first["digest"]


def test_what_cannot_be_compared_is_not_measured(home):
    trained(home)
    assert no_regression(home).description.startswith("not measured: no model is promoted yet")
    promote(home.root)
    trained(home, 2.0, evaluation_sets=("exam", "another"))
    assert no_regression(home).description == "not measured: the promoted model was measured on other documents"


@pytest.mark.parametrize("content", ["{", "[]", '{"digest": "x"}'])
def test_a_damaged_record_of_the_promoted_model_is_named(home, content):
    (home.root / "promoted_model.json").write_text(content)
    with pytest.raises(InputError, match=r"promoted_model\.json: expected digest"):
        promoted(home.root)


def test_nothing_is_promoted_without_a_model(home):
    with pytest.raises(InputError, match="pretrained_model: no artifact here"):
        promote(home.root)
    assert promoted(home.root) is None
