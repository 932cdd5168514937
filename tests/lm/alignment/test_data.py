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
