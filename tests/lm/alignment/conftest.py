"""A tiny tokenizer and model, and sums small enough to learn in seconds."""

import importlib.util
import json

import pytest

SPECIAL_TOKENS = ["<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
SUMS = [(a, b) for a in range(4) for b in range(4)]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def board_of(output):
    """The scalars in the TensorBoard files of a stage's work folder, {step: {name: value}}."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    found = {}
    for path in sorted((output.parent / f"{output.name}.work" / "tensorboard").iterdir()):
        for event in map(Event.FromString, RawEventFileLoader(str(path)).Load()):
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(event.step, {})[value.tag] = value.simple_value
    return found


def shows_metrics(output, rows):
    """Whether TensorBoard, where it is installed, has every number of every step, as float32."""
    if importlib.util.find_spec("tensorboard") is None:
        return True
    rows = [dict(row) for row in rows]
    wanted = {row.pop("step"): {name: pytest.approx(value, rel=1e-6) for name, value in row.items()} for row in rows}
    return board_of(output) == wanted


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """A folder with the artifacts `tokenizer` and `model` (fresh weights) and the three data files."""
    torch = pytest.importorskip("torch")
    from lm.model import TransformerLM, preset, save_model
    from lm.storage import publish
    from lm.tokenizer import train_bpe

    folder = tmp_path_factory.mktemp("alignment")
    tokenizer = train_bpe([f"{a} + {b} = {a + b}\n#### {a + b} I do not know" for a, b in SUMS], 300, SPECIAL_TOKENS)
    identity = {"config": {}, "inputs": {}, "code": "test"}
    with publish(folder / "tokenizer", kind="tokenizer", **identity) as publication:
        tokenizer.save(publication.path)
    torch.manual_seed(0)
    model = TransformerLM(preset("test", vocab_size=tokenizer.vocab_size, context_length=48, d_model=64))
    with publish(folder / "model", kind="pretrained_model", **identity) as publication:
        save_model(publication.path, model, tokenizer.digest)
    rows = [
        {
            "id": f"{split} {a} {b}",
            "split": split,
            "prompt": f"{a} + {b}?",
            "sum": a + b,
            "working": f"{a} + {b} = {a + b}",
        }
        for split in ("train", "heldout")
        for a, b in SUMS
    ]
    shared = [{key: row[key] for key in ("id", "split", "prompt")} for row in rows]
    good = [f"{row['working']}\n#### {row['sum']}" for row in rows]
    bad = ["I do not know" if row["sum"] % 2 else f"{row['sum']}" for row in rows]
    write_lines(folder / "instructions.jsonl", [{**s, "response": g} for s, g in zip(shared, good, strict=True)])
    write_lines(
        folder / "preferences.jsonl",
        [{**s, "chosen": g, "rejected": b} for s, g, b in zip(shared, good, bad, strict=True)],
    )
    write_lines(folder / "problems.jsonl", [{**s, "answer": row["sum"]} for s, row in zip(shared, rows, strict=True)])
    return folder


@pytest.fixture(scope="session")
def shards(start):
    """Token shards of the tokenizer, to replay."""
    from lm.shards import ShardWriter
    from lm.storage import publish
    from lm.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(start / "tokenizer")
    with publish(start / "shards", kind="token_shards", config={}, inputs={}, code="test") as publication:
        settings = {
            "tokenizer_digest": tokenizer.digest,
            "vocab_size": tokenizer.vocab_size,
            "end_of_text_id": tokenizer.special_id("<|endoftext|>"),
        }
        sizes = {}
        for split, sums in (("train", SUMS), ("validation", SUMS[::5])):
            texts = [f"{a} + {b} = {a + b}. " * 4 for a, b in sums]
            sizes[split] = sum(map(len, texts))
            with ShardWriter(publication.path, **settings, prefix=split) as writer:
                for number, text in enumerate(texts):
                    writer.write(str(number), "sums", tokenizer.encode(text))
        publication.summary["text_bytes"] = sizes
    return start / "shards"


@pytest.fixture(scope="session")
def weak(start, tmp_path_factory):
    """A model that was tuned a little: it answers some problems rightly."""
    from lm.alignment.config import SFTConfig
    from lm.alignment.sft import train_sft

    settings = {"optimizer": "adamw", "max_new_tokens": 12, "num_threads": 1, "device": "cpu"}
    return train_sft(
        SFTConfig(num_steps=32, batch_size=16, learning_rate=5e-3, **settings),
        model=start / "model",
        tokenizer=start / "tokenizer",
        instructions=start / "instructions.jsonl",
        output=tmp_path_factory.mktemp("weak") / "sft",
    )
