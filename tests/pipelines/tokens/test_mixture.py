"""Training mixtures: exact sums, the temperature's formula, limits, and refused configurations."""

import json
import math
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm import storage
from lm.configuration import from_mapping
from lm.errors import ConfigurationError, InputError
from lm.shards import ShardWriter, TokenShards
from lm.training.reading_order import make_reading_order
from pipelines.tokens.mixture import (
    MIXTURE,
    MixtureConfig,
    SourceSize,
    make_mixture,
    plan_mixture,
    source_sizes,
    training_weights,
)

SIZES = {"books": SourceSize(10, 1_000), "code": SourceSize(20, 4_000), "web": SourceSize(900, 95_000)}


def used(plan):
    return {each.source: each.tokens_used for each in plan.sources}


def test_without_weights_sources_count_by_their_tokens():
    plan = plan_mixture(SIZES, MixtureConfig(num_tokens=100_000))
    assert used(plan) == {"books": 1_000, "code": 4_000, "web": 95_000}
    assert [each.epochs for each in plan.sources] == [1, 1, 1]


def test_weights_of_any_sum_and_sources_left_out():
    plan = plan_mixture(SIZES, MixtureConfig(weights={"books": 1, "web": 3}, num_tokens=1_001))
    assert used(plan) == {"books": 250, "web": 751}
    assert math.isclose(sum(each.weight for each in plan.sources), 1)


def test_temperature_is_a_power_of_the_rates():
    plan = plan_mixture(SIZES, MixtureConfig(temperature=2, num_tokens=10_000))
    total = sum(math.sqrt(size.num_tokens) for size in SIZES.values())
    for each in plan.sources:
        assert each.tokens_used == pytest.approx(10_000 * math.sqrt(each.tokens_available) / total, abs=1)
    even = plan_mixture(SIZES, MixtureConfig(temperature=1e300, num_tokens=9_999, max_epochs=4))
    assert set(used(even).values()) == {3_333}


def test_without_a_length_the_run_is_as_long_as_the_limits_allow():
    plan = plan_mixture(SIZES, MixtureConfig(weights={"books": 0.5, "web": 0.5}, max_epochs=4))
    assert used(plan) == {"books": 4_000, "web": 4_000}
    everything = plan_mixture(SIZES, MixtureConfig(max_epochs=1, on_limit="redistribute"))
    assert used(everything) == {name: size.num_tokens for name, size in SIZES.items()}


def test_a_share_beyond_its_limit_is_refused_or_capped():
    config = {"weights": {"books": 1, "code": 1, "web": 2}, "num_tokens": 20_000, "max_epochs": 2}
    with pytest.raises(ConfigurationError) as error:
        plan_mixture(SIZES, MixtureConfig(**config))
    assert "source 'books' would contribute 5,000 of 20,000 tokens, but its max_epochs allow 2,000" in str(error.value)
    plan = plan_mixture(SIZES, MixtureConfig(**config, on_limit="redistribute"))
    assert used(plan) == {"books": 2_000, "code": 6_000, "web": 12_000}
    single = plan_mixture(SIZES, MixtureConfig(**config, source_max_epochs={"books": 5}))
    assert used(single) == {"books": 5_000, "code": 5_000, "web": 10_000}


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"weights": {"book": 1}}, ConfigurationError, "mixture.weights: unknown key 'book'; did you mean 'books'"),
        ({"source_max_epochs": {"x": 1}}, ConfigurationError, "mixture.source_max_epochs: unknown key 'x'"),
        ({"num_tokens": 10**9}, ConfigurationError, "1,000,000,000, but the sources give at most 1,600,000"),
        ({"max_epochs": 0.0001}, ConfigurationError, "source 'books' allows no token"),
        ({"weights": {"none": 1, "web": 1}}, InputError, "source 'none' has no tokens"),
    ],
)
def test_what_cannot_be_is_refused(config, error, message):
    with pytest.raises(error) as raised:
        plan_mixture({**SIZES, "none": SourceSize(0, 0)}, from_mapping(MixtureConfig, config))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"weights": {"web": 0}}, "weights.web: 0.0, expected above 0"),
        ({"temperature": -1.0}, "temperature: -1.0, expected above 0"),
        ({"num_tokens": 0}, "num_tokens: 0, expected at least 1"),
        ({"on_limit": "cap"}, "'cap', expected one of 'refuse', 'redistribute'"),
    ],
)
def test_values_out_of_range_are_named(config, message):
    with pytest.raises(ConfigurationError) as raised:
        from_mapping(MixtureConfig, config)
    assert message in str(raised.value)


sizes = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.builds(SourceSize, st.just(1), st.integers(1, 10**12)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(sizes, st.floats(0.2, 5), st.floats(0.5, 20), st.floats(0.0001, 1), st.randoms())
def test_tokens_sum_exactly_and_no_limit_is_passed(sources, temperature, max_epochs, part, random):
    most = sum(math.floor(max_epochs * size.num_tokens) for size in sources.values())
    weights = {name: random.uniform(0.1, 10) for name in sources}
    config = MixtureConfig(
        weights=weights, temperature=temperature, max_epochs=max_epochs, num_tokens=max(1, int(part * most)),
        on_limit="redistribute",
    )  # fmt: skip
    if most == 0:
        return
    plan = plan_mixture(sources, config)
    assert sum(used(plan).values()) == plan.num_tokens == config.num_tokens
    for each in plan.sources:
        assert 0 <= each.tokens_used <= math.floor(max_epochs * each.tokens_available)
    shuffled = dict(sorted(sources.items(), key=lambda _: random.random()))
    assert plan_mixture(shuffled, config) == plan


@pytest.fixture
def shards(tmp_path):
    with storage.publish(tmp_path / "shards", kind="token_shards", config={}, inputs={}, code="") as publication:
        for split in ("train", "validation"):
            with ShardWriter(
                publication.path, tokenizer_digest="d", vocab_size=300, end_of_text_id=299, prefix=split,
                max_tokens_per_shard=12,
            ) as writer:  # fmt: skip
                for number in range(6):
                    writer.write(f"doc-{number}", ("web", "books")[number % 3 == 0], range(number))
    return publication.artifact


def test_tokens_are_counted_to_the_one_and_the_plan_is_published(shards, tmp_path):
    sizes = source_sizes(TokenShards.open(shards, "train"))
    assert sizes == {"books": SourceSize(2, 0 + 3 + 2), "web": SourceSize(4, 1 + 2 + 4 + 5 + 4)}
    made = make_mixture(shards, tmp_path / "mixture", MixtureConfig(weights={"web": 3, "books": 1}, num_tokens=40))
    plan = json.loads(made.file(MIXTURE).read_text())
    assert plan["num_tokens"] == 40 and [each["tokens_used"] for each in plan["sources"]] == [10, 30]
    assert training_weights(plan) == {"books": 0.25, "web": 0.75}
    assert (
        make_mixture(shards, tmp_path / "again", MixtureConfig(weights={"books": 1, "web": 3}, num_tokens=40)).digest
        == made.digest
    )
    alone = make_mixture(shards, tmp_path / "alone", MixtureConfig(weights={"web": 1}))
    assert training_weights(json.loads(alone.file(MIXTURE).read_text())) == {"web": 1.0}


def test_a_source_that_takes_no_part_is_not_read(shards):
    opened = TokenShards.open(shards, "train")
    for weights in ({"web": 1}, {"web": 1, "books": 1e-12}):
        plan = json.loads(json.dumps(asdict(plan_mixture(source_sizes(opened), MixtureConfig(weights=weights)))))
        order = make_reading_order(opened, packing="stream", context_length=4, seed=0, weights=training_weights(plan))
        assert [source.name for source in order.sources] == ["web"]
