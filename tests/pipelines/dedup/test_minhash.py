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
from pipelines.dedup import lsh, minhash, minhash_reference
from pipelines.dedup.minhash import sign, signatures
from pipelines.dedup.minhash_config import MinHashConfig
from pipelines.dedup.texts import deduplicate
from tests.conftest import REPOSITORY

CONFIG = MinHashConfig(num_hashes=128, num_bands=16, ngram=3)
TEXTS = [
    "The quick brown fox jumps over the lazy dog, again and again.",
    "Čtyři žluťoučké kočky — a ještě jedna! Ω ÉCOLE naïve ﬁne İstanbul",
    "한국어 문장은 여러 낱말로 이루어져 있다 그리고 길다",
    "emoji 👍🏽 and a\u200dzero width\xadsoft hyphen\u00a0no-break\u2028line separator",
    "one two three four five",
    "Ὀδυσσεύς ἄνδρα μοι ἔννεπε Μοῦσα ΠΟΛΎΤΡΟΠΟΝ ὃς μάλα πολλὰ",
    "Ｆｕｌｌｗｉｄｔｈ 𝐁𝐨𝐥𝐝 𝒮cript ǅ ß ẞ Å ﬃ 豈 更 車",
]


def words(seed, count, vocabulary=50_000):
    generator = random.Random(seed)
    return [f"w{generator.randrange(vocabulary)}" for _ in range(count)]


@pytest.mark.parametrize("text", TEXTS)
def test_compiled_signature_is_the_references(text):
    found = sign([text], CONFIG)
    assert found.valid.tolist() == [True]
    permutations = minhash._permutations(CONFIG.num_hashes, CONFIG.seed)
    assert found.values[0].tolist() == minhash_reference.signature(text, CONFIG.ngram, *permutations)


@pytest.mark.parametrize("seed", [1, 7])
def test_signature_is_datasketchs_with_the_same_hash_and_permutations(seed):
    datasketch = pytest.importorskip("datasketch", minversion="2.0")
    text = " ".join(words(seed, 3000))
    shingles = minhash_reference.shingles(text, 5)
    theirs = datasketch.MinHash(
        num_perm=128,
        seed=seed,
        scheme="affine32",
        hashfunc=lambda shingle: minhash_reference.hash_shingle(shingle) >> 32,
    )
    theirs.update_batch(shingles)
    ours = signatures([text], num_hashes=128, ngram=5, seed=seed)
    assert ours[0].tolist() == theirs.hashvalues.tolist()


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
    with pytest.raises(InputError, match="no valid Unicode"):
        signatures(["good", "bad \ud800"])


def edited(original, share, seed):
    """The words with about `share` of them replaced."""
    generator = random.Random(seed)
    return [f"x{generator.random()}" if generator.random() < share else word for word in original]


def corpus():
    """Texts, and for each the number of the text that it was made from."""
    texts, origins = [], []
    for number in range(40):
        original = words(number, 200 + number)
        texts += [" ".join(original), " ".join(original).upper() + "!"]
        origins += [number, number]
        texts.append(" ".join(edited(original, 0.01, number)))
        origins.append(number if minhash_reference.jaccard(texts[-3], texts[-1], 5) >= 0.7 else 1000 + number)
    return texts, origins


def partition_of(labels):
    groups = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    return sorted(map(tuple, groups.values()))


def test_planted_duplicates_are_found_and_nothing_else():
    texts, origins = corpus()
    found = deduplicate(texts, num_hashes=128, num_bands=32, jaccard_threshold=0.7)
    assert partition_of(found.cluster_ids) == partition_of(origins)
    assert found.kept.sum() == len(set(origins))
    assert all(found.cluster_ids[i] <= i for i in range(len(texts)))


def test_clusters_do_not_depend_on_the_order():
    texts, _ = corpus()
    order = list(range(len(texts)))
    random.Random(3).shuffle(order)
    straight, mixed = deduplicate(texts), deduplicate([texts[i] for i in order])
    back = dict(enumerate(order))
    mixed_groups = sorted(tuple(sorted(back[i] for i in group)) for group in partition_of(mixed.cluster_ids))
    assert mixed_groups == partition_of(straight.cluster_ids)
    assert {texts[i] for i in np.flatnonzero(straight.kept)} == {texts[order[i]] for i in np.flatnonzero(mixed.kept)}


def test_the_longest_stays():
    text = " ".join(words(1, 300))
    assert deduplicate([text, text + " and more", text]).kept.tolist() == [False, True, False]


def test_candidates_are_verified():
    """With one row a band almost all that share anything meet; the Jaccard index still decides."""
    original = words(5, 300)
    texts = [" ".join(original), " ".join(edited(original, 0.05, 1))]
    index = minhash_reference.jaccard(*texts, 5)
    assert 0.5 < index < 0.8
    settings = {"num_hashes": 64, "num_bands": 64, "ngram": 5}
    assert deduplicate(texts, **settings, jaccard_threshold=0.8).kept.all()
    assert deduplicate(texts, **settings, jaccard_threshold=index - 1e-6).kept.sum() == 1
    assert deduplicate(texts, **settings, jaccard_threshold=index + 1e-6).kept.all()
    assert deduplicate(texts, **settings, jaccard_threshold=0).kept.sum() == 1


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


def test_a_giant_bucket_costs_linear_time_and_stays_whole(monkeypatch):
    """Hundreds of copies of a page with a counter in it all meet in one bucket."""
    original = words(9, 400)
    texts = [" ".join([*original, f"visitor {i}"]) for i in range(500)]
    found = deduplicate(texts)
    assert found.kept.sum() == 1
    random.Random(1).shuffle(texts)
    assert deduplicate(texts).kept.sum() == 1
    monkeypatch.setattr(lsh, "MOST_PAIRWISE", 10_000)
    assert deduplicate(texts).kept.sum() == 1


def test_schemes_refuse_to_meet():
    left = minhash.sign(TEXTS, CONFIG)
    right = minhash.sign(TEXTS, MinHashConfig(num_hashes=128, num_bands=16, ngram=3, seed=2))
    with pytest.raises(InputError, match=r"different schemes cannot meet: .*seed=1.*seed=2"):
        minhash.join([left, right])
    with pytest.raises(InputError, match="were asked to meet as"):
        minhash.bands(right, CONFIG)


@pytest.mark.parametrize("name", ["articles_100", "articles_1000", "articles_2500"])
def test_planted_pairs_of_real_articles(shared_data, name):
    lines = shared_data(f"duplicates/{name}.train").read_text().splitlines()
    ids, texts = zip(*(line.split(" ", 1) for line in lines if line.strip()), strict=True)
    true = {
        frozenset(line.split()) for line in shared_data(f"duplicates/{name}.truth").read_text().splitlines() if line
    }
    found = deduplicate(texts)
    groups = [group for group in partition_of(found.cluster_ids) if len(group) > 1]
    pairs = {frozenset(ids[i] for i in group) for group in groups}
    assert pairs == true


def test_device_cuda_gives_the_same_signatures():
    """In Triton's interpreter, which needs a process of its own."""
    code = """
import numpy as np
from pipelines.dedup.minhash import MinHashConfig, sign
from tests.pipelines.dedup.test_minhash import TEXTS
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
