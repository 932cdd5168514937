"""Evaluation items: fields, splits, and sets that are refused by name."""

import json

import pytest

from lm.errors import ConfigurationError, InputError
from pipelines.decontamination.corpus import (
    DecontaminationConfig,
)
from pipelines.decontamination.items import ITEMS, EvaluationSet, publish_evaluation_items, read_items


@pytest.mark.parametrize(
    ("content", "fields", "message"),
    [
        (None, (), "no such file"),
        ('{"question": "x"}\nnope\n', (), "set.jsonl:2: not JSON"),
        ("[1]\n", (), "set.jsonl:1: a list, expected an object"),
        ('{"question": 3}\n', ("question",), "set.jsonl:1: no text in field 'question'; found a int"),
        ('{"prompt": "x"}\n', ("question",), "set.jsonl:1: no text in field 'question'; found prompt"),
        ("", (), "no row, expected the evaluation set 'exam'"),
    ],
)
def test_a_bad_set_is_named(tmp_path, content, fields, message):
    path = tmp_path / "set.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as error:
        publish_evaluation_items([EvaluationSet(name="exam", path=str(path), fields=fields)], tmp_path / "items")
    assert message in str(error.value)


def test_split_choices_and_names(tmp_path):
    path = tmp_path / "set.jsonl"
    rows = [{"id": "a", "split": "train", "q": "x"}, {"id": "b", "split": "heldout", "q": "y", "choices": ["1", "2"]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen = EvaluationSet(name="exam", path=str(path), split="heldout")
    found = read_items(publish_evaluation_items([chosen], tmp_path / "items").file(ITEMS))
    assert [(item.item, item.field, item.text) for item in found] == [("b", "q", "y"), ("b", "choices", "1\n2")]
    with pytest.raises(InputError, match="no row whose split is 'dev'"):
        publish_evaluation_items([EvaluationSet(name="exam", path=str(path), split="dev")], tmp_path / "items")
    with pytest.raises(ConfigurationError, match="2 sets are named 'exam'"):
        publish_evaluation_items([chosen, chosen], tmp_path / "items")
    with pytest.raises(ConfigurationError, match="max_pieces: 0, expected at least 1"):
        DecontaminationConfig(max_pieces=0)
