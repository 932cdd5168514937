"""Compiled signatures: those of the plain reference and of datasketch."""

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
