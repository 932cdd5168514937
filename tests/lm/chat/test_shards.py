"""Chat text as shards: the training instructions by the one renderer, and no held-out one."""

import json

import pytest

from lm.chat.shards import write_chat_shards
from lm.chat.template import Message, encode_example
from lm.errors import InputError
from lm.shards import TokenShards
from lm.tokenizer import Tokenizer, train_bpe
from lm.tokenizer.tokenizer import SPECIAL_TOKENS

ROWS = [
    {"id": "a", "prompt": "2 + 2?", "response": "#### 4", "split": "train"},
    {"id": "b", "prompt": "3 + 3?", "response": "#### 6", "split": "heldout"},
    {
        "id": "c", "prompt": "And 4?", "response": "#### 8", "split": "train",
        "context": [{"role": "user", "content": "<|end|> 1"}, {"role": "assistant", "content": "2"}],
    },
]  # fmt: skip


@pytest.fixture
def tokenizer(tmp_path):
    (tmp_path / "tokenizer").mkdir()
    train_bpe(["2 + 2? #### 4 And"], 270, SPECIAL_TOKENS).save(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def test_each_training_instruction_is_a_row_and_no_heldout_one_is(tokenizer, tmp_path):
    path = tmp_path / "instructions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    artifact = write_chat_shards(path, tokenizer, tmp_path / "chat")
    loaded, shards = Tokenizer.load(tokenizer), TokenShards.open(artifact, "train")
    context = (Message("user", "<|end|> 1"), Message("assistant", "2"))
    wanted = [
        encode_example(loaded, "2 + 2?", "#### 4").token_ids,
        encode_example(loaded, "And 4?", "#### 8", context).token_ids,
    ]
    rows = [shards.document(0, row).tolist() for row in range(shards.num_documents)]
    assert rows == [[*ids, loaded.end_of_text_id] for ids in wanted]
    assert [shards.doc_id(0, row) for row in (0, 1)] == ["a", "c"]
    assert artifact.summary == {"documents": 2, "tokens": sum(map(len, rows))}
    assert write_chat_shards(path, tokenizer, tmp_path / "chat").digest == artifact.digest


def test_a_file_without_training_instructions_is_refused(tokenizer, tmp_path):
    path = tmp_path / "instructions.jsonl"
    path.write_text(json.dumps(ROWS[1]) + "\n")
    with pytest.raises(InputError, match="no record has split 'train'"):
        write_chat_shards(path, tokenizer, tmp_path / "chat")
