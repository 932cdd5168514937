"""Chat text as token shards: training instructions, rendered by the chat template, to read in pre-training.

A row is a whole exchange with its special tokens and the end-of-text id; its document id is the instruction's.
Held-out instructions are not written.
"""

from __future__ import annotations

from pathlib import Path

from lm import storage
from lm.artifact import Artifact
from lm.chat.records import Instruction, of_split, read_records
from lm.chat.template import encode_example
from lm.shards import ShardWriter
from lm.storage import Publication
from lm.tokenizer import Tokenizer

SOURCE = "chat"


def write_chat_shards(instructions: Path, tokenizer: Artifact | Path, target: Path) -> Artifact:
    """Publish the training instructions of a file as `train-*.arrow`, in the order of the file.

    Raises:
        InputError: a bad line, or no training instruction.
        ConfigurationError: the tokenizer lacks a special token of the template.
    """
    loaded = Tokenizer.load(tokenizer)

    def write(publication: Publication) -> None:
        records = of_split(read_records(Instruction, instructions), "train", instructions)
        with ShardWriter(
            publication.path,
            tokenizer_digest=loaded.digest,
            vocab_size=loaded.vocab_size,
            end_of_text_id=loaded.end_of_text_id,
        ) as writer:
            for each in records:
                example = encode_example(loaded, each.prompt, each.response, each.context)
                writer.write(each.id, SOURCE, example.token_ids)
        publication.summary.update(documents=writer.num_documents, tokens=writer.num_tokens)

    inputs = {"instructions": storage.sha256_of(instructions), "tokenizer": loaded.digest}
    return storage.make(target, write, kind="chat_shards", config={}, inputs=inputs)
