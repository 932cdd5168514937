"""Compiled signatures and shingles: those of the plain reference and of datasketch."""

import random

import pytest

from pipelines.dedup import minhash, minhash_reference
from pipelines.dedup.minhash import sign, signatures
from tests.pipelines.dedup.passages import CONFIG, TEXTS, words


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


def sorted_hashes(text, ngram):
    return sorted({minhash_reference.hash_shingle(shingle) for shingle in minhash_reference.shingles(text, ngram)})


@pytest.mark.parametrize("ngram", [1, 3, 7])
def test_shingle_sets_are_the_references_however_many_texts_go_at_once(ngram, monkeypatch):
    draw = random.Random(ngram)
    texts = [*TEXTS, "", "too short", "the same word " * 300]
    texts += [" ".join(words(seed, draw.randrange(400), draw.choice([3, 1000]))) for seed in range(40)]
    expected = [sorted_hashes(text, ngram) for text in texts]
    for at_once in (1, 1_000, 1 << 23):
        monkeypatch.setattr(minhash, "_SHINGLED_BYTES", at_once)
        assert [found.tolist() for found in minhash.shingle_sets(texts, ngram)] == expected
    assert minhash.shingle_sets([], ngram) == []
