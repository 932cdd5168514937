"""Checks of the pre-trained model against what came before it: the corpus it was trained on, and the promoted model."""

from __future__ import annotations

import dagster as dg

from assets.graph.pretraining import pretrained_model
from assets.support.checks import WARN, figures
from assets.support.promotion import MODEL, promoted
from assets.support.resources import LoamHome
from lm.storage import find_artifact
from pipelines.curation.steps import CORPUS

MAX_REGRESSION = 0.01
"""The share by which bits per byte may lie above the promoted model's."""


@dg.asset_check(
    asset=pretrained_model,
    description="The model was trained on tokens of the current decontaminated corpus, which was searched for "
    "evaluation items.",
)
def trained_on_clean_documents(home: LoamHome) -> dg.AssetCheckResult:
    """The digests lead from the model through its shards to a corpus that was searched for evaluation items."""
    model, shards, corpus = (find_artifact(home.target(name)) for name in (MODEL, "token_shards", CORPUS))
    if model is None or shards is None or corpus is None:
        return dg.AssetCheckResult(passed=False, description=f"{MODEL}, token_shards or {CORPUS} is not materialized")
    sets = corpus.summary["evaluation_sets"]
    if model.inputs.get("token_shards") != shards.digest or shards.inputs.get("documents") != corpus.digest:
        other = model.inputs.get("token_shards") != shards.digest
        said = "the model was trained on" if other else "token_shards were made from"
        what = "token_shards" if other else CORPUS
        return dg.AssetCheckResult(passed=False, description=f"{said} another version of {what}")
    return dg.AssetCheckResult(
        passed=bool(sets),
        description=f"{corpus.summary['num_kept']:,} documents, searched for {len(sets)} evaluation sets",
        metadata={"evaluation_sets": sorted(sets)},
    )


@dg.asset_check(
    asset=pretrained_model,
    description=f"Bits per byte are at most {MAX_REGRESSION:.0%} above the promoted model's, on the same documents.",
)
def no_regression(home: LoamHome) -> dg.AssetCheckResult:
    """Bits per byte do not lie above the promoted model's; without one, or on other documents, not measured."""
    model, best = home.artifact(MODEL), promoted(home.root)
    if best is None:
        return _not_measured("no model is promoted yet (python -m assets promote)")
    if best["token_shards"] != model.inputs["token_shards"]:
        return _not_measured("the promoted model was measured on other documents")
    ours, theirs = float(model.summary["bits_per_byte"]), float(best["bits_per_byte"])
    return dg.AssetCheckResult(
        passed=ours <= theirs * (1 + MAX_REGRESSION),
        description=f"{ours:.4f} bits per byte; the promoted model has {theirs:.4f}",
        metadata=figures({"bits_per_byte": ours, "promoted_bits_per_byte": theirs, "promoted": best["digest"]}),
    )


def _not_measured(reason: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, severity=WARN, description=f"not measured: {reason}")
