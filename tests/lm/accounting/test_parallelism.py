"""The cost model of communication: closed forms, their limits, and the bytes that training counts."""

import itertools

import pytest

from lm.accounting import count_parameters, training_flops_per_token
from lm.accounting.communication import ring_bytes, ring_seconds
from lm.accounting.parallelism import (
    STRATEGIES,
    compute_bound_tokens,
    largest_batch,
    largest_model,
    state_bytes,
    step_time,
    swiglu_forward_flops,
)
from lm.errors import ConfigurationError
from lm.model.presets import preset

MODEL = preset("gpt2_124m")
FLOPS, LINK = 4e14, 2e11


def time_of(strategy, tokens=8192, ranks=8, **changes):
    values = {"flops_per_s": FLOPS, "bytes_per_s": LINK, "bytes_per_number": 2, **changes}
    return step_time(MODEL, strategy, tokens_per_rank=tokens, num_ranks=ranks, **values)


@pytest.mark.parametrize(("size", "ranks"), list(itertools.product([1.0, 1e6, 3e9], [1, 2, 3, 8, 1024])))
def test_rings_by_hand(size, ranks):
    assert ring_seconds("all_gather", size, ranks, LINK) == pytest.approx((ranks - 1) / ranks * size / LINK)
    twice = ring_seconds("all_reduce", size, ranks, LINK)
    assert twice == pytest.approx(2 * ring_seconds("reduce_scatter", size, ranks, LINK))
    assert ring_bytes("all_reduce", size, ranks) == pytest.approx(
        ring_bytes("reduce_scatter", size, ranks) + ring_bytes("all_gather", size, ranks)
    )
    late = ring_seconds("all_reduce", size, ranks, LINK, latency_s=1e-5)
    assert late - twice == pytest.approx(2 * (ranks - 1) * 1e-5, abs=1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_rank_sends_nothing(strategy):
    found = time_of(strategy, ranks=1)
    assert found.communication_s == 0 and found.total_s == pytest.approx(found.compute_s)
    assert found.compute_s == pytest.approx(8192 * training_flops_per_token(MODEL) / FLOPS)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("tokens", [1, 512, 8192, 10**6])
def test_a_step_takes_at_least_the_longer_and_at_most_the_sum(strategy, tokens):
    found = time_of(strategy, tokens)
    assert max(found.compute_s, found.communication_s) <= found.total_s * (1 + 1e-12)
    assert found.total_s <= found.compute_s + found.communication_s + 1e-12
    assert found.exposed_s + 1e-12 >= 0


def test_communication_by_hand():
    size = 2 * count_parameters(MODEL).total
    once = 7 / 8 * size / LINK
    sent = {strategy: time_of(strategy).communication_s for strategy in STRATEGIES}
    assert sent["ddp"] == sent["zero2"] == pytest.approx(2 * once)
    assert sent["zero1"] == sent["fsdp"] == pytest.approx(3 * once)
    stream = 2 * 8192 * MODEL.d_model
    assert sent["tensor"] == pytest.approx(4 * MODEL.num_layers * 2 * 7 / 8 * stream / LINK)


@pytest.mark.parametrize("ranks", [2, 8, 1024])
def test_fsdp_hides_its_communication_from_the_bound_on(ranks):
    """Up to the attention's products, which have no weights."""
    weights_only = preset("gpt2_124m", context_length=1)
    bound = compute_bound_tokens(ranks, FLOPS, LINK)
    share = count_parameters(weights_only).total * 6 / training_flops_per_token(weights_only)
    for factor, hidden in ((0.9, False), (1.1, True)):
        found = step_time(weights_only, "fsdp", tokens_per_rank=factor * share * bound, num_ranks=ranks,
                          flops_per_s=FLOPS, bytes_per_s=LINK, bytes_per_number=2)  # fmt: skip
        assert (found.exposed_s < 1e-12) == hidden


def test_state_by_hand():
    assert [state_bytes(1, strategy, 4) for strategy in STRATEGIES] == [16, 10, 7, 4, 4]
    assert largest_model(80e9, "ddp", 8) == 5e9 and largest_model(80e9, "fsdp", 8) == 40e9
    batches = [largest_batch(MODEL, 80e9, strategy, 8) for strategy in ("ddp", "zero1", "zero2", "fsdp")]
    assert batches == sorted(batches) and batches[0] > 0
    assert largest_batch(MODEL, 1e9, "ddp", 8) == 0
    assert swiglu_forward_flops(3, 5, 7, 2) == 6 * 3 * 5 * 7 / 2


@pytest.mark.parametrize("values", [(0, 1.0, 1.0), (2, 0.0, 1.0), (2, 1.0, -1.0)])
def test_impossible_machines_are_refused(values):
    with pytest.raises(ConfigurationError, match="expected numbers above 0"):
        compute_bound_tokens(*values)
