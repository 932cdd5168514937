"""Assets of tokens: a tokenizer trained on the curated documents, and token shards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg
import numpy as np

from assets.graph.curation import clean_documents, raw_documents
from assets.support import plots
from assets.support.checks import figures
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, result
from lm.shards import TokenShards
from lm.storage import Artifact
from lm.tokenizer import Tokenizer
from pipelines.curation.steps import CORPUS
from pipelines.report.curation import steps_of
from pipelines.tokens.shards import TokenizeConfig, TokenizerConfig, train_corpus_tokenizer, write_token_shards
from pipelines.tokens.tokenizer_report import (
    COMPARISON,
    PAGE,
    SAMPLES,
    TRAINED,
    TokenizerReportConfig,
    write_tokenizer_report,
)

_NUM_SHOWN = 16
_VISIBLE = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"})

ALL_PAGES = dg.AssetDep(raw_documents, partition_mapping=dg.AllPartitionMapping())
"""The pages of every group, in all their languages."""


@dg.asset(group_name="tokens", deps=[clean_documents], config_schema=schema_of("tokenizer", TokenizerConfig))
@explained
def tokenizer(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """A byte-level BPE tokenizer, trained from scratch on the curated documents."""
    watch = Stopwatch()
    config = config_of(context, TokenizerConfig)
    artifact = train_corpus_tokenizer(home.artifact(CORPUS), home.target("tokenizer"), config)
    return result(artifact, watch, _tokenizer_tables(artifact))


@dg.asset(
    group_name="tokens", deps=[clean_documents, tokenizer], config_schema=schema_of("token_shards", TokenizeConfig)
)
@explained
def token_shards(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Memory-mapped shards of token ids, with held-out validation documents."""
    watch = Stopwatch()
    artifact = write_token_shards(
        home.artifact(CORPUS),
        home.artifact("tokenizer"),
        home.target("token_shards"),
        config_of(context, TokenizeConfig),
    )
    return result(artifact, watch, _shard_plots(artifact))


@dg.asset(
    group_name="tokens",
    deps=[ALL_PAGES, clean_documents, tokenizer],
    config_schema=schema_of("tokenizer_report", TokenizerReportConfig),
)
@explained
def tokenizer_report(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """The tokenizer compared with characters, bytes, words and other vocabulary sizes: compression, fertility by
    language, speed.
    """
    watch = Stopwatch()
    pages = steps_of(home.root)["extract"]
    speeds: list[Mapping[str, object]] = []
    artifact = write_tokenizer_report(
        home.artifact(CORPUS),
        home.artifact("tokenizer"),
        pages,
        home.target("tokenizer_report"),
        config_of(context, TokenizerReportConfig),
        report=speeds.append,
    )
    return result(artifact, watch, {**_comparison_plots(artifact), "speed": plots.table(speeds)})


@dg.asset_check(asset=tokenizer_report, description="BPE compresses better than bytes and is lossless, unlike words.")
def byte_pairs_lose_nothing(home: LoamHome) -> dg.AssetCheckResult:
    """The corpus's tokenizer is lossless, has no unknown pieces, and needs fewer tokens than bytes."""
    own = json.loads(home.artifact("tokenizer_report").file(COMPARISON).read_text())["tokenizers"][0]
    return dg.AssetCheckResult(
        passed=own["texts_that_come_back"] == 1 and own["unknown_share"] == 0 and own["bytes_per_token"] > 1,
        description=f"{own['texts_that_come_back']:.0%} of texts round-trip, "
        f"{own['bytes_per_token']:.2f} bytes per token",
        metadata=figures({name: value for name, value in own.items() if name != "tokenizer"}),
    )


@dg.asset_check(
    asset=tokenizer,
    blocking=True,
    description="Texts in several scripts round-trip through their ids, and no text encodes to a special token.",
)
def tokenizer_round_trip(home: LoamHome) -> dg.AssetCheckResult:
    """Encoding and decoding are lossless, also for text outside the training corpus."""
    loaded = Tokenizer.load(home.artifact("tokenizer"))
    special = {loaded.special_id(name) for name in loaded.special_tokens}
    ids = {text: loaded.encode(text) for text in SAMPLES}
    failed = [text for text in SAMPLES if loaded.decode(ids[text]) != text or special & set(ids[text])]
    return dg.AssetCheckResult(
        passed=not failed,
        description=f"{len(SAMPLES) - len(failed)} of {len(SAMPLES)} texts round-trip without special tokens",
        metadata={"num_texts": len(SAMPLES), "failed": failed},
    )


@dg.asset_check(
    asset=token_shards,
    blocking=True,
    description="Neither split is empty, and together the splits hold as many rows as there are curated documents. "
    "Every row has ids of the vocabulary and exactly one end-of-text id, at its end.",
)
def shards_hold_every_document(home: LoamHome) -> dg.AssetCheckResult:
    """The number of rows equals the number of documents, and every row has ids of the vocabulary and one end."""
    shards = home.artifact("token_shards")
    opened = {split: TokenShards.open(shards, split) for split in ("train", "validation")}
    num_documents = sum(split.num_documents for split in opened.values())
    expected = home.artifact(CORPUS).summary["num_kept"]
    num_odd = sum(_damaged_rows(split) for split in opened.values())
    return dg.AssetCheckResult(
        passed=num_documents == expected and all(split.num_documents for split in opened.values()) and not num_odd,
        description=f"{num_documents:,} documents of {expected:,} in the shards, {num_odd:,} of them damaged",
        metadata={"num_documents": num_documents, "expected": expected, "num_damaged": num_odd},
    )


def _damaged_rows(split: TokenShards) -> int:
    """Return the number of rows with an id outside of the vocabulary, or without exactly one end-of-text id, at the
    end."""
    found = 0
    for shard in split.shards:
        ids, ends = shard.tokens, shard.offsets[1:]
        row_of = np.repeat(np.arange(len(ends)), np.diff(shard.offsets))
        num_ends = np.bincount(row_of[ids == split.end_of_text_id], minlength=len(ends))
        beyond = np.bincount(row_of[ids >= split.vocab_size], minlength=len(ends))
        last = ids[np.maximum(ends - 1, 0)]
        found += int(np.count_nonzero((num_ends != 1) | (beyond > 0) | (last != split.end_of_text_id)))
    return found


def _tokenizer_tables(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    loaded = Tokenizer.load(artifact)
    longest = sorted(loaded.vocab.values(), key=len, reverse=True)[:_NUM_SHOWN]
    merges = loaded.merges[:_NUM_SHOWN]
    first = [{"merge": i, "left": _shown(left), "right": _shown(right)} for i, (left, right) in enumerate(merges)]
    return {
        "first_merges": plots.table(first),
        "longest_tokens": plots.table([{"token": _shown(token), "bytes": len(token)} for token in longest]),
    }


def _shown(token: bytes) -> str:
    """Return a token as text, its white space visible."""
    return token.decode(errors="backslashreplace").translate(_VISIBLE)


def _comparison_plots(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    content = json.loads(artifact.file(COMPARISON).read_text())
    rows = content["tokenizers"]
    sizes = {row["vocab_size"]: row["bytes_per_token"] for row in rows if row["tokenizer"].startswith("bpe")}
    curve = {"byte pairs": (list(sizes), list(sizes.values()))}
    fertility = {row["language"]: row["fertility"][TRAINED] for row in content["languages"]}
    return {
        "report": dg.MetadataValue.md(artifact.file(PAGE).read_text()),
        "compression": plots.lines("Compression by vocabulary size", curve, x="vocabulary size", y="bytes per token"),
        "all_compression": plots.bars(
            "Compression", {row["tokenizer"]: row["bytes_per_token"] for row in rows}, x="bytes per token"
        ),
        "fertility_by_language": plots.bars("Tokens per word, by language", fertility, x="tokens per word"),
    }


def _shard_plots(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    shards = TokenShards.open(artifact, "train")
    lengths = [int(n) for shard in shards.shards for n in shard.offsets[1:] - shard.offsets[:-1]]
    return {"document_lengths": plots.histogram("Tokens per training document", lengths, x="tokens")}
