import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm.scaling.law import AS_PUBLISHED, CHINCHILLA, R_PARAMETERS, R_TOKENS, diminished

sizes = st.floats(1e4, 1e12)


@given(st.floats(1e15, 1e27))
def test_the_closed_form_is_the_minimum(flops):
    best, tokens = CHINCHILLA.optimal(flops)
    assert 6 * best * tokens == pytest.approx(flops)
    lowest = CHINCHILLA.loss(best, tokens)
    for factor in (0.8, 0.99, 1.01, 1.25):
        assert CHINCHILLA.loss(best * factor, tokens / factor) > lowest
    assert CHINCHILLA.parameters_for_tokens(tokens) == pytest.approx(best)


def test_known_answer_closed_form_at_1e25():
    parameters, tokens = CHINCHILLA.optimal(1e25)
    assert parameters == pytest.approx(312e9, rel=0.01) and tokens / parameters == pytest.approx(17, abs=0.3)


@given(sizes, sizes)
def test_repeated_text_never_beats_new_text(parameters, tokens):
    fresh = CHINCHILLA.loss(parameters, tokens)
    for unique in (math.inf, tokens, tokens / 2, tokens / 100):
        assert CHINCHILLA.loss_of_repeated(parameters, tokens, unique) >= fresh - 1e-12
    assert CHINCHILLA.loss_of_repeated(parameters, tokens, math.inf) == fresh


@given(sizes, sizes)
def test_parameters_and_epochs_both_come_to_an_end(parameters, unique):
    bound = CHINCHILLA.loss(CHINCHILLA.parameters_for_tokens(unique) * (1 + R_PARAMETERS), unique * (1 + R_TOKENS))
    assert CHINCHILLA.loss_of_repeated(parameters, 1e6 * unique, unique) >= bound - 1e-9


def test_diminishing_returns_begin_slowly():
    assert diminished(50, 100, R_TOKENS) == 50 and diminished(100, 100, R_TOKENS) == 100
    assert diminished(400, 100, R_TOKENS) == pytest.approx(372, abs=1)
    assert diminished(1e9, 100, R_TOKENS) == pytest.approx(100 * (1 + R_TOKENS))


@pytest.mark.parametrize(("parameters", "tokens", "loss"), [(70e9, 1.4e12, 1.936), (280e9, 300e9, 1.993)])
def test_known_answer_the_first_fit_of_chinchilla_and_gopher(parameters, tokens, loss):
    assert AS_PUBLISHED.loss(parameters, tokens) == pytest.approx(loss, abs=1e-3)
