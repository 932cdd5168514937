"""The training mixture: the exact number of tokens that a run reads of each source.

    base rate of a source    its weight; where none are given, its tokens
    share r                  (base rate)^(1 / temperature), normalized to sum 1
    tokens used              share x tokens of the run, rounded by largest remainder so that they sum exactly
    epochs                   tokens used / tokens available, at most the source's limit

Decisions:
- A temperature of 1 leaves the rates alone, a higher one evens them out: Raffel et al. 2020, arXiv:1910.10683,
  section 3.5.2, where it is applied to sizes; here to weights too, so that one rule holds.
- `max_epochs` is 16: at four epochs repeated tokens are nearly as good as new ones, past sixteen they add little
  (Muennighoff et al. 2023, arXiv:2305.16264, section 5). The limit catches mistakes; it is not meant for tuning.
- A share that would pass a source's limit is refused. `on_limit: redistribute` caps it instead, and the other sources
  share what it leaves, in their proportions.
- Without `num_tokens` the run is as long as the limits allow.

Training reads `mixture.json`: `{"num_tokens", "sources": [{"source", "num_documents", "tokens_available", "weight",
"max_epochs", "epochs", "tokens_used"}]}`; a weight is the exact share of the tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pyarrow.compute as pc

from lm import storage
from lm.configuration import Doc, Range, settle, to_mapping, unknown_key
from lm.errors import ConfigurationError, InputError
from lm.shards import TokenShards
from lm.storage import Artifact, Publication

MIXTURE, MIXTURE_KIND = "mixture.json", "mixture"


@dataclass(frozen=True, kw_only=True, slots=True)
class MixtureConfig:
    """The sources of a training run, and the share of each.

    Raises:
        ConfigurationError: at construction, a value out of its range.
    """

    weights: Annotated[
        Mapping[str, float],
        Doc(
            "Weights by source, with any sum; unnamed sources are excluded. Empty takes all sources, weighted by "
            "their tokens."
        ),
        Range(above=0),
    ] = field(default_factory=dict)
    temperature: Annotated[
        float, Doc("Sampling temperature: 1 keeps the weights, larger values flatten the weights."), Range(above=0)
    ] = 1.0
    max_epochs: Annotated[float, Doc("Maximum epochs of a source in a run."), Range(above=0)] = 16.0
    source_max_epochs: Annotated[
        Mapping[str, float], Doc("Maximum epochs by source, in place of max_epochs."), Range(above=0)
    ] = field(default_factory=dict)
    num_tokens: Annotated[int | None, Doc("Tokens of the run; empty takes as many as the limits allow."), Range(1)] = (
        None
    )
    on_limit: Annotated[
        Literal["refuse", "redistribute"],
        Doc("If a source exceeds its limit: refuse, or cap the source and redistribute the rest to the others."),
    ] = "refuse"

    def __post_init__(self) -> None:
        settle(self, "mixture")


class SourceSize(NamedTuple):
    """The documents and tokens of a source."""

    num_documents: int
    num_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedSource:
    """One source of a plan: available tokens, and tokens that the run reads."""

    source: str
    num_documents: int
    tokens_available: int
    weight: float
    max_epochs: float
    epochs: float
    tokens_used: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MixturePlan:
    """The tokens of a run, and of each source; the sources' `tokens_used` sum to `num_tokens`."""

    num_tokens: int
    sources: tuple[PlannedSource, ...]


def plan_mixture(sizes: Mapping[str, SourceSize], config: MixtureConfig | None = None) -> MixturePlan:
    """Divide a training run between sources.

    Raises:
        ConfigurationError: an unknown source, or a share or a run above the limits.
        InputError: there are no tokens.
    """
    config = config or MixtureConfig()
    for name in ("weights", "source_max_epochs"):
        for source in getattr(config, name):
            if source not in sizes:
                raise ConfigurationError(unknown_key(source, sizes, f"mixture.{name}"))
    sources = sorted(config.weights) if config.weights else sorted(name for name in sizes if sizes[name].num_tokens)
    empty = [name for name in sources if not sizes[name].num_tokens]
    if empty or not sources:
        raise InputError(f"mixture: source '{empty[0]}' has no tokens" if empty else "mixture: no source has tokens")
    shares = _shares({name: config.weights.get(name, sizes[name].num_tokens) for name in sources}, config.temperature)
    limits = {name: config.source_max_epochs.get(name, config.max_epochs) for name in sources}
    most = {name: math.floor(limits[name] * sizes[name].num_tokens) for name in sources}
    num_tokens = _run_length(shares, most, config)
    used = _tokens_used(shares, most, num_tokens, config.on_limit)
    return MixturePlan(
        num_tokens=num_tokens,
        sources=tuple(
            PlannedSource(
                source=name,
                num_documents=sizes[name].num_documents,
                tokens_available=sizes[name].num_tokens,
                weight=used[name] / num_tokens,
                max_epochs=limits[name],
                epochs=used[name] / sizes[name].num_tokens,
                tokens_used=used[name],
            )
            for name in sources
        ),
    )


def make_mixture(shards: Artifact, target: Path, config: MixtureConfig | None = None) -> Artifact:
    """Plan over the training split of token shards and publish `mixture.json`.

    Raises:
        ConfigurationError: as `plan_mixture`.
    """
    config = config or MixtureConfig()
    plan = plan_mixture(source_sizes(TokenShards.open(shards, "train")), config)

    def write(publication: Publication) -> None:
        storage.write_json(publication.path / MIXTURE, asdict(plan))
        publication.summary.update(
            num_tokens=plan.num_tokens,
            num_sources=len(plan.sources),
            weights={each.source: each.weight for each in plan.sources},
        )

    return storage.make(
        target,
        write,
        kind=MIXTURE_KIND,
        config=to_mapping(config),
        inputs={"token_shards": shards.digest},
    )


def source_sizes(shards: TokenShards) -> dict[str, SourceSize]:
    """Return documents and tokens of every source of a split, end-of-text ids included."""
    sizes: dict[str, SourceSize] = {}
    for shard in shards.shards:
        lengths = shard.offsets[1:] - shard.offsets[:-1]
        for name in pc.unique(shard.sources).to_pylist():
            rows = pc.equal(shard.sources, name).to_numpy(zero_copy_only=False)
            before = sizes.get(name, SourceSize(0, 0))
            sizes[name] = SourceSize(
                before.num_documents + int(rows.sum()), before.num_tokens + int(lengths[rows].sum())
            )
    return dict(sorted(sizes.items()))


def training_weights(plan: Mapping[str, Any]) -> dict[str, float]:
    """Return the share of the tokens of every source that the plan uses; a run with these weights reads no other."""
    return {each["source"]: each["weight"] for each in plan["sources"] if each["tokens_used"]}


def _shares(rates: Mapping[str, float], temperature: float) -> dict[str, float]:
    """Return the rates to the power of 1 / temperature, normalized; in logarithms, so that no power overflows."""
    logs = {name: math.log(rate) / temperature for name, rate in rates.items()}
    highest = max(logs.values())
    powers = {name: math.exp(log - highest) for name, log in logs.items()}
    total = math.fsum(powers.values())
    return {name: power / total for name, power in powers.items()}


def _run_length(shares: Mapping[str, float], most: Mapping[str, int], config: MixtureConfig) -> int:
    """Return the tokens of the run: those asked for, or what the limits allow."""
    allowed = sum(most.values())
    if config.num_tokens is not None:
        if config.num_tokens > allowed:
            raise ConfigurationError(
                f"mixture.num_tokens: {config.num_tokens:,}, but the sources give at most {allowed:,} within their "
                "max_epochs"
            )
        return config.num_tokens
    if config.on_limit == "redistribute":
        return allowed
    longest = math.floor(min(most[name] / share for name, share in shares.items()))
    while any(used > most[name] for name, used in _rounded(shares, longest).items()):
        longest -= 1  # rounding up by one token can pass a limit that the share itself keeps
    if longest < 1:
        scarce = min(shares, key=lambda name: most[name] / shares[name])
        raise ConfigurationError(f"mixture: source '{scarce}' allows no token within its max_epochs")
    return longest


def _tokens_used(
    shares: Mapping[str, float], most: Mapping[str, int], num_tokens: int, on_limit: str
) -> dict[str, int]:
    """Return tokens of each source, summing to `num_tokens`."""
    used = _rounded(shares, num_tokens)
    over = [name for name in used if used[name] > most[name]]
    if over and on_limit == "refuse":
        name = max(over, key=lambda each: used[each] / max(1, most[each]))
        raise ConfigurationError(
            f"mixture: source '{name}' would contribute {used[name]:,} of {num_tokens:,} tokens, but its max_epochs "
            f"allow {most[name]:,}; lower its weight or num_tokens, raise max_epochs, or set on_limit to redistribute"
        )
    capped: dict[str, int] = {}
    while over:
        capped |= {name: most[name] for name in over}
        free = {name: share for name, share in shares.items() if name not in capped}
        left = num_tokens - sum(capped.values())
        total = math.fsum(free.values())
        used = {**capped, **_rounded({name: share / total for name, share in free.items()}, left)}
        over = [name for name in free if used[name] > most[name]]
    return used


def _rounded(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Return whole numbers in the proportions of `shares` (which sum to 1) that sum to `total`: by largest remainder,
    of equal ones the first name.
    """
    exact = {name: share * total for name, share in shares.items()}
    counts = {name: math.floor(value) for name, value in exact.items()}
    order = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
    missing = total - sum(counts.values())
    for place in range(abs(missing)):  # floats may miss by one either way at the largest totals
        counts[order[place % len(order)] if missing > 0 else order[-1 - place % len(order)]] += 1 if missing > 0 else -1
    return counts
