"""MinHash: what is signed, that it is datasketch's arithmetic, who meets, who is alike."""

import gzip
import json
import os
import random
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.minhash_edits import joined, planted
from lm.errors import ConfigurationError, InputError
from pipelines.dedup import lsh, minhash
from pipelines.dedup.minhash import sign, signatures
from pipelines.dedup.minhash_config import MinHashConfig
from pipelines.dedup.texts import deduplicate
from tests.conftest import REPOSITORY
from tests.pipelines.dedup.passages import CONFIG, TEXTS, words


def test_arrow_slices_are_read_in_place():
    column = pa.array(TEXTS, pa.large_string())
    everything = signatures(TEXTS, 128, 3)
    assert everything.shape == (7, 128) and everything.dtype == np.uint32
    assert (signatures(column.slice(2, 3), 128, 3) == everything[2:5]).all()
    assert signatures([], 128).shape == (0, 128)


@pytest.mark.fault(13)
def test_too_short_texts_are_never_clustered():
    texts = ["", "", "one two three", "one two three", " . ", "a b c d", "a b c d"]
    assert not sign(texts, MinHashConfig()).valid.any() and (signatures(texts) == 2**32 - 1).all()
    found = deduplicate(texts)
    assert found.cluster_ids.tolist() == list(range(7)) and found.kept.all()


@pytest.mark.parametrize("kind", ["block of 5%", "block of 15%", "block of 20%", "scattered 2%", "scattered 5%"])
def test_the_defaults_find_planted_edits_in_real_pages(real_pairs, kind):
    assert joined(real_pairs[kind][:60], MinHashConfig()).mean() >= 0.98


@pytest.mark.parametrize("kind", ["template of 30%", "template of 50%", "template of 60%", "other page"])
def test_the_defaults_join_no_pages_that_share_a_template(real_pairs, kind):
    assert joined(real_pairs[kind][:60], MinHashConfig()).mean() <= 0.02


@pytest.fixture(scope="module")
def real_pairs(shared_data):
    with gzip.open(shared_data("prose/public_domain.jsonl.gz"), "rt", encoding="utf-8") as lines:
        texts = [" ".join(json.loads(line)["text"].split()[:600]) for line in lines]
    return planted(sorted(set(texts)), random.Random(1))


def test_a_lone_surrogate_is_refused():
    with pytest.raises(InputError, match="not valid Unicode"):
        signatures(["good", "bad \ud800"])


def test_share_of_pairs_that_meet_follows_the_formula():
    """P(meet) = 1 - (1 - s**rows)**bands, within sampling error over many pairs of known Jaccard index."""
    config = MinHashConfig(num_hashes=112, num_bands=14, ngram=1)
    num_pairs, size = 400, 400
    for share in (0.6, 0.75, 0.9):
        shared = round(size * 2 * share / (1 + share))
        texts = []
        for pair in range(num_pairs):
            pool = [f"p{pair}w{i}" for i in range(2 * size - shared)]
            texts += [" ".join(pool[:size]), " ".join(pool[size - shared :])]
        true = shared / (2 * size - shared)
        found = lsh.find_buckets([minhash.bands(sign(texts, config), config)])
        met = lsh.candidates(found, len(texts))[::2].mean()
        expected = 1 - (1 - true**8) ** 14
        assert abs(met - expected) < 4 * (expected * (1 - expected) / num_pairs) ** 0.5 + 0.01, (share, met, expected)


def test_schemes_refuse_to_meet():
    left = minhash.sign(TEXTS, CONFIG)
    right = minhash.sign(TEXTS, MinHashConfig(num_hashes=128, num_bands=16, ngram=3, seed=2))
    with pytest.raises(InputError, match=r"different schemes cannot be compared: .*seed=1.*seed=2"):
        minhash.join([left, right])
    with pytest.raises(InputError, match=r"signatures of scheme .*, expected"):
        minhash.bands(right, CONFIG)


def test_device_cuda_gives_the_same_signatures():
    """In Triton's interpreter, which needs a process of its own."""
    code = """
import numpy as np
from pipelines.dedup.minhash import MinHashConfig, sign
from tests.pipelines.dedup.passages import TEXTS
config = MinHashConfig(num_hashes=130, num_bands=13, ngram=3)
cpu, cuda = (sign([*TEXTS, "too short", "", TEXTS[0] * 300], config, device=device) for device in ("cpu", "cuda"))
assert cpu.scheme == cuda.scheme and (cpu.valid == cuda.valid).all() and (cpu.values == cuda.values).all()
assert sign([], config, device="cuda").values.shape == (0, 130)
"""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
def test_a_gpu_gives_the_same_signatures():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    texts = [" ".join(words(seed, 50 * seed)) for seed in range(200)]
    for config in (CONFIG, MinHashConfig()):
        assert (sign(texts, config).values == sign(texts, config, device="cuda").values).all()


def test_cuda_without_a_device_is_refused(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match="minhash device 'cuda': torch finds no CUDA device here"):
        signatures(["one two three four five six"], device="cuda")
