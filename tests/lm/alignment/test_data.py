"""Alignment data: what is published, and prompts that leak from the training part into the held-out one."""

import json

import pytest

from lm.alignment.data import FILES, publish_alignment_data
from lm.errors import InputError

FIELDS = {
    "instructions.jsonl": {"response": "#### 4"},
    "preferences.jsonl": {"chosen": "#### 4", "rejected": "#### 5"},
    "problems.jsonl": {"answer": 4},
}


def write(folder, **prompts):
    """The three files; `prompts` gives (split, prompt) pairs by the file's stem."""
    for name, fields in FIELDS.items():
        pairs = prompts.get(name.partition(".")[0], [])
        stem = name[:4]
        rows = [("train", f"Train {stem}?"), ("heldout", f"Held {stem}?"), *pairs]
        lines = [{"id": f"{i}", "split": split, "prompt": text, **fields} for i, (split, text) in enumerate(rows)]
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {name: folder / name for name in FILES}


def test_files_without_a_leak_are_published_and_counted(tmp_path):
    files = write(tmp_path, problems=[("train", "Train prob?"), ("heldout", "Held inst?")])
    summary = publish_alignment_data(files, tmp_path / "out").summary
    assert summary["problems_train"] == summary["problems_heldout"] == 2


@pytest.mark.parametrize("text", ["Held prob?", " held  PROB?\n", "Ｈｅｌｄ prob?"])
@pytest.mark.parametrize("stem", ["instructions", "preferences", "problems"])
def test_a_held_out_prompt_in_any_training_part_is_refused(tmp_path, stem, text):
    files = write(tmp_path, **{stem: [("train", text)]})
    with pytest.raises(InputError, match=rf"problems\.jsonl: id '1' is held out .*/{stem}\.jsonl: id '2' \(1 such"):
        publish_alignment_data(files, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_published_files_become_the_houses_records(tmp_path):
    lines = [json.dumps({"question": f"{n} + 1?", "answer": f"{n}+1={n + 1}\n#### {n + 1}"}) + "\n" for n in range(9)]
    (tmp_path / "train.jsonl").write_text("".join(lines[:6]))
    (tmp_path / "test.jsonl").write_text("".join(lines[6:]) + '{"question": "x", "answer": "no line"}\n')
    sources = [tmp_path / "train.jsonl", tmp_path / "test.jsonl"]
    artifact = publish_alignment_data({"problems.jsonl": sources, "instructions.jsonl": sources}, tmp_path / "out")
    assert artifact.summary == {
        "instructions_train": 6,
        "instructions_heldout": 4,
        "problems_train": 6,
        "problems_heldout": 3,
        "problems_left_out": {"no last line '#### <integer>'": 1},
    }
    first = json.loads(artifact.file("problems.jsonl").read_text().splitlines()[0])
    assert first == {"prompt": "0 + 1?", "answer": 1, "id": "train-000000", "split": "train"}


def test_the_same_last_turn_after_other_turns_is_another_prompt(tmp_path):
    def record(split, before):
        texts = [f"\n\nHuman: {before}\n\nAssistant: Yes?\n\nHuman: Go on.\n\nAssistant: {end}" for end in "ab"]
        return json.dumps({"chosen": texts[0], "rejected": texts[1], "split": split}) + "\n"

    for name, split in (("train", "A"), ("test", "B")):
        (tmp_path / f"{name}.jsonl").write_text(record(name, split))
    paths = {"preferences.jsonl": [tmp_path / "train.jsonl", tmp_path / "test.jsonl"]}
    assert publish_alignment_data(paths, tmp_path / "out").summary["preferences_heldout"] == 1
    (tmp_path / "test.jsonl").write_text(record("test", "A"))
    with pytest.raises(InputError, match="is held out but has the prompt"):
        publish_alignment_data(paths, tmp_path / "again")
