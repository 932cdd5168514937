"""The reference's log-probabilities are computed once; a reference of something else is refused."""

import json
import math
from dataclasses import replace

import pytest

pytest.importorskip("lm.tokenizer")

from lm.alignment import reference as module
from lm.alignment.config import DPOConfig
from lm.alignment.dpo import train_dpo
from lm.errors import InputError
from lm.storage import open_artifact

SMALL = {"optimizer": "adamw", "max_new_tokens": 4, "num_threads": 1, "device": "cpu", "evaluation_problems": 2}
CONFIG = DPOConfig(**SMALL, num_steps=3, batch_size=8, warmup_steps=1, sft_weight=0.0)


@pytest.fixture
def counted(monkeypatch):
    """The numbers of pairs that the reference was computed for."""
    calls, compute = [], module.all_pair_log_probs
    monkeypatch.setattr(
        module, "all_pair_log_probs", lambda model, pairs: calls.append(len(pairs)) or compute(model, pairs)
    )
    return calls


def arguments(start, output):
    places = {"model": start / "model", "tokenizer": start / "tokenizer"}
    return {**places, "preferences": start / "preferences.jsonl", "output": output}


def rows(artifact):
    return [json.loads(line) for line in artifact.file("metrics.jsonl").read_text().splitlines()]


def test_another_beta_or_rate_reads_what_is_stored(start, tmp_path, counted):
    given = arguments(start, tmp_path / "dpo")
    first = train_dpo(CONFIG, **given)
    assert counted == [16, 16]  # training and held-out pairs
    assert rows(first)[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)  # the policy is the reference
    for changed in (replace(CONFIG, beta=0.7), replace(CONFIG, learning_rate=1e-4, loss="ipo")):
        again = train_dpo(changed, **given)
        fresh = train_dpo(changed, **arguments(start, tmp_path / f"fresh-{changed.loss}"))
        assert again.files == fresh.files  # as without a store
    assert counted == [16, 16] * 3  # the two fresh ones alone


def test_another_model_or_other_pairs_replace_it(start, weak, tmp_path, counted):
    given = arguments(start, tmp_path / "dpo")
    lines = given["preferences"].read_text().splitlines(keepends=True)
    other = tmp_path / "preferences.jsonl"
    other.write_text("".join(lines[1:]))
    for changed in ({}, {"model": weak.path}, {"model": weak.path, "preferences": other}):
        counted.clear()
        found = rows(train_dpo(CONFIG, **{**given, **changed}))
        assert len(counted) == 2 and found[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)


def test_a_given_reference_is_read_or_refused(start, weak, tmp_path, counted):
    whole = train_dpo(CONFIG, **arguments(start, tmp_path / "dpo"))
    stored = tmp_path / "dpo.work" / module.FOLDER
    assert open_artifact(stored).summary == {"num_train_pairs": 16, "num_heldout_pairs": 16}
    counted.clear()
    given = arguments(start, tmp_path / "given")
    again = train_dpo(CONFIG, **given, reference=stored)
    assert counted == [] and again.files["model.safetensors"] == whole.files["model.safetensors"]
    other = tmp_path / "preferences.jsonl"
    other.write_text("".join(given["preferences"].read_text().splitlines(keepends=True)[1:]))
    for changed, name in (({"model": weak.path}, "model"), ({"preferences": other}, "data")):
        with pytest.raises(InputError, match=rf"reference: log-probabilities of {name} [0-9a-f]{{64}}, expected"):
            train_dpo(CONFIG, **{**given, **changed, "output": tmp_path / name}, reference=stored)
    with pytest.raises(InputError, match="log-probabilities of too_long refuse, expected skip"):
        train_dpo(replace(CONFIG, too_long="skip"), **{**given, "output": tmp_path / "x"}, reference=stored)
    with pytest.raises(InputError, match="expected"):
        train_dpo(CONFIG, **{**given, "output": tmp_path / "y"}, reference=start / "model")
