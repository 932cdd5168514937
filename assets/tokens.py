"""Tokens: a tokenizer learned from the curated documents, and the documents as shards of its ids."""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets import plots
from assets.curation import decontaminated_documents
from assets.failures import explained
from assets.launchpad import config_of, schema_of
from assets.resources import LoamHome
from assets.results import Stopwatch, result
from lm.shards import TokenShards
from lm.storage import Artifact
from lm.tokenizer import Tokenizer
from pipelines.curate import CORPUS
from pipelines.tokenize import TokenizeConfig, TokenizerConfig, train_corpus_tokenizer, write_token_shards

_NUM_SHOWN = 16
_SAMPLES = (
    "The river town of Thornofield was founded in 1356.",
    "7 + 5 = 12, so Anna has 12 apples.",
    "naïve café, Größe, ¿qué?",
    "👍 <|endoftext|>",
)


@dg.asset(group_name="tokens", deps=[decontaminated_documents], config_schema=schema_of(TokenizerConfig))
@explained
def tokenizer(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """A byte-level BPE tokenizer, trained from scratch on the curated documents."""
    watch = Stopwatch()
    config = config_of(context, TokenizerConfig)
    artifact = train_corpus_tokenizer(home.artifact(CORPUS), home.target("tokenizer"), config)
    return result(artifact, watch, _tokenizer_tables(artifact))


@dg.asset(group_name="tokens", deps=[decontaminated_documents, tokenizer], config_schema=schema_of(TokenizeConfig))
@explained
def token_shards(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """The documents as memory-mapped shards of token ids, a part held out for validation."""
    watch = Stopwatch()
    artifact = write_token_shards(
        home.artifact(CORPUS),
        home.artifact("tokenizer"),
        home.target("token_shards"),
        config_of(context, TokenizeConfig),
    )
    return result(artifact, watch, _shard_plots(artifact))


@dg.asset_check(
    asset=tokenizer, description="Texts in several scripts come back from their ids, and no special token from outside."
)
def tokenizer_round_trip(home: LoamHome) -> dg.AssetCheckResult:
    """Encoding and decoding give the same text, also for text the tokenizer never saw."""
    loaded = Tokenizer.load(home.artifact("tokenizer"))
    special = {loaded.special_id(name) for name in loaded.special_tokens}
    ids = {text: loaded.encode(text) for text in _SAMPLES}
    failed = [text for text in _SAMPLES if loaded.decode(ids[text]) != text or special & set(ids[text])]
    return dg.AssetCheckResult(passed=not failed, metadata={"num_texts": len(_SAMPLES), "failed": failed})


@dg.asset_check(asset=token_shards, description="Every curated document is in one split, and decodes to its text.")
def shards_hold_every_document(home: LoamHome) -> dg.AssetCheckResult:
    """As many rows as documents, and every document came back from its ids when they were written."""
    shards = home.artifact("token_shards")
    opened = {split: TokenShards.open(shards, split) for split in ("train", "validation")}
    num_documents = sum(split.num_documents for split in opened.values())
    expected = home.artifact(CORPUS).summary["num_kept"]
    return dg.AssetCheckResult(
        passed=num_documents == expected and all(split.num_documents for split in opened.values()),
        metadata={"num_documents": num_documents, "expected": expected},
    )


def _tokenizer_tables(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    loaded = Tokenizer.load(artifact)
    longest = sorted(loaded.vocab.values(), key=len, reverse=True)[:_NUM_SHOWN]
    splits = [
        {
            "text": text,
            "tokens": " · ".join(loaded.decode([i]) for i in loaded.encode(text)),
            "num_tokens": len(loaded.encode(text)),
        }
        for text in _SAMPLES
    ]
    return {
        "splits": plots.table(splits),
        "longest_tokens": plots.table(
            [{"token": token.decode(errors="replace"), "bytes": len(token)} for token in longest]
        ),
    }


def _shard_plots(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    shards = TokenShards.open(artifact, "train")
    lengths = [int(n) for shard in shards.shards for n in shard.offsets[1:] - shard.offsets[:-1]]
    return {"document_lengths": plots.histogram("Tokens in a training document", lengths, x="tokens")}
