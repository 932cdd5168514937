from itertools import pairwise

import numpy as np
import pytest

from lm.errors import ConfigurationError, InputError
from lm.evaluation.ngram import KneserNey, discounts_of, evaluate_ngram
from tests.lm.training.corpora import make_shards

VOCABULARY = 40


@pytest.fixture(scope="module")
def text():
    return np.random.default_rng(0).zipf(1.3, 4000) % 35


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_sum_to_one_after_any_context(text, order):
    model = KneserNey(text, order=order, vocab_size=VOCABULARY, end_of_text_id=0)
    for context in ([], [1], [2, 1], [39], [1, 39], [39, 38], list(text[:6]), list(text[-6:])):
        distribution = model.distribution(context)
        assert distribution.sum() == pytest.approx(1, abs=1e-12)
        assert distribution.min() > 0


def test_scoring_a_text_is_reading_its_distributions(text):
    model = KneserNey(text, order=3, vocab_size=VOCABULARY, end_of_text_id=0)
    held_out = np.random.default_rng(1).integers(0, VOCABULARY, 200)
    expected = [np.log(model.distribution(held_out[:i])[token]) for i, token in enumerate(held_out)]
    assert model.log_probabilities(held_out) == pytest.approx(expected, abs=1e-12)


def test_equals_the_formula_by_dictionaries(text):
    """The definition, counted one gram at a time."""
    model = KneserNey(text, order=3, vocab_size=VOCABULARY, end_of_text_id=0)
    stream = [0, 0, *map(int, text)]
    trigrams = list(zip(stream, stream[1:], stream[2:], strict=False))
    bigrams = set(pairwise(stream))
    tables = {
        3: {gram: trigrams.count(gram) for gram in set(trigrams)},
        2: {gram: len({t[0] for t in trigrams if t[1:] == gram}) for gram in bigrams},
    }
    unigrams = {(w,): sum(last == w for _, last in bigrams) for w in set(stream)}

    def smoothed(table, gram, lower):
        discounts = discounts_of(np.array(list(table.values())))
        here = {g: c for g, c in table.items() if g[:-1] == gram[:-1]}
        total = sum(here.values())
        if total == 0:
            return lower
        kept_back = sum(discounts[min(c, 3)] for c in here.values())
        count = here.get(gram, 0)
        return (count - discounts[min(count, 3)] + kept_back * lower) / total

    for gram in (tuple(map(int, text[10:13])), (1, 2, 3), (1, 39, 2), (39, 1, 1), (34, 33, 32)):
        p = smoothed(unigrams, gram[2:], 1 / VOCABULARY)
        p = smoothed(tables[2], gram[1:], p)
        p = smoothed(tables[3], gram, p)
        assert model.distribution(gram[:2])[gram[2]] == pytest.approx(p, rel=1e-12)


def test_discounts_are_chen_and_goodmans():
    counts = np.repeat([1, 2, 3, 4, 9], [40, 20, 10, 6, 5])
    # Y = 40 / 80 = 1/2: D1 = 1 − 20/40, D2 = 2 − 1.5 · 10/20, D3 = 3 − 2 · 6/10
    assert discounts_of(counts) == pytest.approx([0, 0.5, 1.25, 1.8])
    assert discounts_of(np.array([5, 5, 7])) == pytest.approx([0, 0.5, 0.5, 0.5])


def test_longer_contexts_help_on_a_text_that_has_them(tmp_path):
    shards = make_shards(tmp_path / "s", num_documents=60)
    unigram, bigram = (evaluate_ngram(shards, order=order) for order in (1, 2))
    assert bigram.bits_per_byte < unigram.bits_per_byte - 1
    assert bigram.num_tokens == unigram.num_tokens


def test_wrong_ids_and_orders_are_refused():
    with pytest.raises(ConfigurationError, match="order: 0"):
        KneserNey([1], order=0, vocab_size=5, end_of_text_id=0)
    with pytest.raises(InputError, match="token ids 1 to 7, expected 0 to 4"):
        KneserNey([1, 7], order=2, vocab_size=5, end_of_text_id=0)
    with pytest.raises(InputError, match="no tokens"):
        KneserNey([], order=2, vocab_size=5, end_of_text_id=0)
