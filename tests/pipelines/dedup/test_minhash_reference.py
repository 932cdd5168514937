"""The plain reference by hand: shingles, hashes and the Jaccard index."""

import numpy as np

from pipelines.dedup.minhash_reference import hash_shingle, jaccard, shingles, signature


def test_shingles_are_runs_of_normalised_words():
    assert shingles("One, TWO three\nfour - five", 4) == [
        ("one", "two", "three", "four"),
        ("two", "three", "four", "five"),
    ]
    assert shingles("one two three four", 2) == []  # fewer than five words


def test_the_jaccard_index_by_hand():
    assert jaccard("a b c d e", "a b c d e", 2) == 1
    assert jaccard("a b c d e", "a b c d f", 2) == 3 / 5
    assert jaccard("a b c d e", "v w x y z", 2) == 0
    assert jaccard("a b", "a b", 2) == 0


def test_the_hash_depends_on_the_words_and_their_borders():
    hashes = {hash_shingle(words) for words in (("ab", "c"), ("a", "bc"), ("abc",), ("c", "ab"), ("ab", "c", ""))}
    assert len(hashes) == 5 and all(0 <= value < 2**64 for value in hashes)


def test_a_signature_is_the_least_of_every_permutation():
    one, zero = np.array([1, 1], np.uint32), np.array([0, 7], np.uint32)
    text = "a b c d e f"
    least, shifted = signature(text, 5, one, zero)
    both = [signature(part, 5, one, zero)[0] for part in ("a b c d e", "b c d e f")]
    assert least == min(both)
    assert shifted == min((value + 7) % 2**32 for value in both)
    assert signature("too short", 5, one, zero) == []
