"""The catalog: kinds, owners, code and pages of the docs of every asset.

Decisions:
- `code` names the functions and classes that write an asset's artifact. The digest of their code is Dagster's code
  version, so an edit shows as a change in the graph, for the same sources that make the artifact stale.
- Links lead to this machine's files, or below `LOAM_SOURCE_URL`, such as https://github.com/NAME/loam/blob/main.
- `LOAM_OWNERS` names owners, separated by commas: `team:NAME` or e-mail addresses.
"""

from __future__ import annotations

import ast
import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from lm.code_version import digest_of, follow
from lm.source_names import source_path
from pipelines.curation.steps import CURATION

OWNERS_VARIABLE = "LOAM_OWNERS"
SOURCE_VARIABLE = "LOAM_SOURCE_URL"
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Kinds, a page of the docs, and the code of an asset."""

    kinds: tuple[str, ...]
    page: str
    code: tuple[str, ...]


def _entry(kinds: str, page: str, *code: str) -> Entry:
    return Entry(kinds=tuple(kinds.split()), page=page, code=code)


_TUNING = "model.md"

ENTRIES = {
    "demo_crawl": _entry(
        "warc", "first_run.md",
        "pipelines.demo_crawl.write.publish_demo_crawl", "pipelines.demo_crawl.configuration.DemoCrawlConfig",
    ),
    "warc_files": _entry(
        "warc", "your_own_crawl.md",
        "pipelines.sources.warc_groups.publish_files", "pipelines.sources.warc_file.WarcFile",
    ),
    "alignment_data": _entry("json", "architecture.md", "lm.alignment.data.publish_alignment_data"),
    "added_documents": _entry(
        "parquet", "your_own_crawl.md", "pipelines.sources.added_documents.publish_added_documents"
    ),
    "evaluation_items": _entry(
        "json", "your_own_crawl.md", "pipelines.decontamination.items.publish_evaluation_items"
    ),
    "quality_classifier": _entry(
        "fasttext", "classifiers.md", "pipelines.filters.trained.make_quality_classifier"
    ),
    "harm_classifiers": _entry(
        "fasttext", "classifiers.md", "pipelines.filters.trained.make_harmful_classifiers"
    ),
    "raw_documents": _entry(
        "parquet", "your_own_crawl.md",
        "pipelines.extract.partition._write_extracted", "pipelines.extract.records.ExtractConfig",
        "pipelines.sources.warc_file.WarcFile",
    ),
    "language_documents": _entry(
        "parquet cld2", "language.md",
        "pipelines.filters.run._write_stage", "pipelines.filters.language.LanguageFilter",
    ),
    "prose_documents": _entry(
        "parquet", "heuristics.md",
        "pipelines.filters.run._write_stage", "pipelines.filters.heuristics.HeuristicFilter",
    ),
    "varied_documents": _entry(
        "parquet", "heuristics.md",
        "pipelines.filters.run._write_stage", "pipelines.filters.repetition.RepetitionFilter",
    ),
    "harmless_documents": _entry(
        "parquet fasttext", "classifiers.md",
        "pipelines.filters.run._write_stage", "pipelines.filters.harmful.HarmfulFilter",
    ),
    "quality_documents": _entry(
        "parquet fasttext", "classifiers.md",
        "pipelines.filters.run._write_stage", "pipelines.filters.quality.QualityFilter",
    ),
    "masked_documents": _entry(
        "parquet", "personal_data.md", "pipelines.filters.run._write_stage", "pipelines.filters.pii.PiiMasker"
    ),
    "unique_documents": _entry(
        "parquet numba", "deduplication.md",
        "pipelines.dedup.corpus._write", "pipelines.dedup.corpus.DeduplicationConfig",
    ),
    "clean_documents": _entry(
        "parquet numba", "architecture.md",
        "pipelines.decontamination.corpus._write", "pipelines.decontamination.corpus.Decontaminator",
    ),
    "curation_report": _entry("html markdown", "first_run.md", "pipelines.report.curation.write_curation_report"),
    "tokenizer": _entry("json numba", "architecture.md", "pipelines.tokens.shards.train_corpus_tokenizer"),
    "token_shards": _entry(
        "arrow numba", "architecture.md",
        "pipelines.tokens.shards._write_shards", "lm.tokenizer.tokenizer.Tokenizer",
    ),
    "tokenizer_report": _entry(
        "markdown", "architecture.md", "pipelines.tokens.tokenizer_report.write_tokenizer_report"
    ),
    "training_mixture": _entry("json", "architecture.md", "pipelines.tokens.mixture.make_mixture"),
    "ngram_baseline": _entry("numpy", "model.md", "lm.evaluation.ngram_baseline.write_ngram_baseline",
        "lm.evaluation.config.NgramConfig"),
    "pretrained_model": _entry("pytorch safetensors", "model.md", "lm.training.pretrain.pretrain"),
    "training_plan": _entry("json", "your_own_gpu.md",
        "lm.scaling.training_plan.write_training_plan", "lm.scaling.config.PlanConfig",
    ),
    "training_budget": _entry("json", "scaling.md",
        "lm.scaling.training_budget._write", "lm.training.config.PretrainConfig",
    ),
    "scaling_runs": _entry("pytorch", "scaling.md",
        "lm.scaling.sweep.run_sweep", "lm.scaling.sweep_config.SweepConfig",
    ),
    "law_runs": _entry("pytorch", "scaling.md",
        "lm.scaling.grid._write_budget", "lm.scaling.grid_config.GridConfig",
    ),
    "law_prediction": _entry("json", "scaling.md",
        "lm.scaling.grid._write_prediction", "lm.scaling.grid_config.GridConfig",
    ),
    "law_test": _entry("pytorch", "scaling.md",
        "lm.scaling.grid._write_runs", "lm.scaling.grid_config.GridConfig",
    ),
    "law_report": _entry("html", "scaling.md", "lm.scaling.law_page._write"),
    "ablations": _entry("pytorch", "your_own_gpu.md", "lm.ablations.run.run_ablation"),
    "ablation_report": _entry("markdown", "your_own_gpu.md", "lm.ablations.report.write_ablation_report"),
    "systems_report": _entry("markdown", "kernels.md",
        "lm.systems.report.write_systems_report", "lm.systems.config.SystemsConfig",
    ),
    "sft_model": _entry("pytorch safetensors", _TUNING, "lm.alignment.sft.train_sft"),
    "preference_pairs": _entry("json pytorch", "alignment.md", "lm.alignment.sampled_pairs.write_preference_pairs"),
    "dpo_model": _entry("pytorch safetensors", _TUNING, "lm.alignment.dpo.train_dpo"),
    "grpo_model": _entry("pytorch safetensors", _TUNING, "lm.alignment.grpo.train_grpo"),
    "reward_model": _entry("pytorch safetensors", "alignment.md", "lm.alignment.reward_model.train_reward_model"),
    "ppo_model": _entry("pytorch safetensors", "alignment.md", "lm.alignment.ppo.train_ppo"),
    "rejection_samples": _entry("json pytorch", "alignment.md", "lm.alignment.rejection.write_rejection_samples"),
    "expert_model": _entry("pytorch safetensors", "alignment.md", "lm.alignment.expert_iteration.iterate_experts"),
    "alignment_report": _entry("markdown", "alignment.md", "lm.alignment.seed_report.write_seed_report"),
    "replay_control": _entry("pytorch safetensors", _TUNING, "lm.alignment.control.train_control"),
    "evaluation_report": _entry("markdown", _TUNING, "lm.alignment.report.write_evaluation_report"),
}  # fmt: skip

_STEPS = {
    step.artifact: _entry(
        "parquet",
        "your_own_stage.md",
        "pipelines.filters.run._write_stage",
        f"{step.config.__module__}.{step.config.__name__}",
    )
    for step in CURATION
    if step.artifact not in ENTRIES
}
"""Steps that a user has added."""


def described(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Return the specification of an asset with its kinds, owners, code version and links.

    A step of the curation that the catalog lacks has the links of its stage; any other such asset stays as it is.
    """
    name = spec.key.to_user_string()
    entry = ENTRIES.get(name) or _STEPS.get(name)
    if entry is None:
        return spec
    owners = [name.strip() for name in os.environ.get(OWNERS_VARIABLE, "").split(",") if name.strip()]
    references = dg.CodeReferencesMetadataValue(code_references=[_reference(name) for name in entry.code])
    return spec.replace_attributes(
        kinds=set(entry.kinds),
        owners=owners,
        code_version=digest_of(follow(entry.code)[0]),
        metadata={**spec.metadata, "docs": _page(entry.page), "dagster/code_references": references},
    )


def _reference(name: str) -> dg.LocalFileCodeReference | dg.UrlCodeReference:
    path, line = place_of(name)
    label = name.rpartition(".")[2].lstrip("_")
    if (base := os.environ.get(SOURCE_VARIABLE)) is not None:
        url = f"{base.rstrip('/')}/{path.relative_to(_ROOT).as_posix()}#L{line}"
        return dg.UrlCodeReference(url=url, label=label)
    return dg.LocalFileCodeReference(file_path=str(path), line_number=line, label=label)


def _page(name: str) -> dg.MetadataValue[Any]:
    if (base := os.environ.get(SOURCE_VARIABLE)) is not None:
        return dg.MetadataValue.url(f"{base.rstrip('/')}/docs/{name}")
    return dg.MetadataValue.path(str(_ROOT / "docs" / name))


def place_of(name: str) -> tuple[Path, int]:
    """Return the file and the line where a dotted name is defined, without importing it.

    Raises:
        LookupError: no module of the project defines the name.
    """
    module, _, attribute = name.rpartition(".")
    path = source_path(module)
    if path is None:
        raise LookupError(f"{name}: no such module")
    line = _lines(path).get(attribute)
    if line is not None:
        return path, line
    for node in _tree(path).body:  # a package that passes the name on
        if isinstance(node, ast.ImportFrom) and any((each.asname or each.name) == attribute for each in node.names):
            return place_of(f"{node.module}.{attribute}")
    raise LookupError(f"{name}: not defined in {path}")


def _lines(path: Path) -> dict[str, int]:
    defined = (ast.FunctionDef, ast.ClassDef)
    return {node.name: node.lineno for node in _tree(path).body if isinstance(node, defined)}


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())
