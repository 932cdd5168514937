"""A small demo crawl sent through the whole refinery, as the assets do it; for tests of what comes out."""

from pathlib import Path

from pipelines import paths
from pipelines.classifiers.fasttext_training import ClassifierConfig
from pipelines.curation import CURATION
from pipelines.decontamination.corpus import decontaminate_corpus
from pipelines.decontamination.items import EvaluationSet, publish_evaluation_items
from pipelines.dedup.corpus import DeduplicationConfig, deduplicate_partitions
from pipelines.demo_crawl import DemoCrawlConfig, write_demo_crawl
from pipelines.extract.partition import extract_partition
from pipelines.filters.heuristics import HeuristicFilter
from pipelines.filters.language import LanguageFilter
from pipelines.filters.pii import PiiMasker
from pipelines.filters.repetition import RepetitionFilter
from pipelines.filters.run import run_stage_partitions
from pipelines.filters.trained import (
    harmful_filter,
    make_harmful_classifiers,
    make_quality_classifier,
    quality_filter,
)
from pipelines.sources.warc_groups import WarcSource, list_groups, resolve_group
from pipelines.tokens.shards import TokenizeConfig, TokenizerConfig, train_corpus_tokenizer, write_token_shards

CRAWL = DemoCrawlConfig(
    num_pages=240,
    num_warc_files=2,
    num_quality_labels=200,
    num_harmful_labels=200,
    num_train_instructions=60,
    num_heldout_instructions=6,
    num_train_preferences=30,
    num_heldout_preferences=4,
    num_train_problems=60,
    num_heldout_problems=6,
)


def curate_demo(root: Path, crawl_folder: Path, num_workers: int = 1) -> dict[str, dict]:
    """Every artifact of the refinery and its tokens below `root`, by step and partition."""
    crawl_folder.mkdir(parents=True, exist_ok=True)
    if not (crawl_folder / "warc").exists():
        write_demo_crawl(CRAWL, crawl_folder)
    source = WarcSource(kind="demo", folder=str(crawl_folder / "warc"), files_per_group=1)
    made = {CURATION[0].artifact: {}}
    for partition in list_groups(source):
        files = resolve_group(source, partition, root / "downloads")
        target = paths.artifact_path(CURATION[0].artifact, partition, root)
        made[CURATION[0].artifact][partition] = extract_partition(files, partition, target, num_workers=num_workers)
    partitioned = [step for step in CURATION if step.partitioned]
    for before, step, stage in zip(partitioned, partitioned[1:], stages(root, crawl_folder), strict=False):
        sources = made[before.artifact]
        targets = {partition: paths.artifact_path(step.artifact, partition, root) for partition in sources}
        made[step.artifact] = run_stage_partitions(stage, sources, targets, num_workers=num_workers)
    return made | tokens(root, made[partitioned[-1].artifact], crawl_folder, num_workers)


def stages(root, crawl_folder):
    """The stages between extraction and deduplication, with classifiers trained on the crawl's labels."""
    config = ClassifierConfig(min_examples_seen=4000)
    quality = make_quality_classifier(
        crawl_folder / "quality_labels.jsonl", paths.artifact_path("quality_classifier", root=root), config
    )
    harmful = make_harmful_classifiers(
        crawl_folder / "harmful_labels.jsonl", paths.artifact_path("harmful_classifiers", root=root), config
    )
    return (
        LanguageFilter(),
        HeuristicFilter(),
        RepetitionFilter(),
        harmful_filter(harmful),
        quality_filter(quality),
        PiiMasker(),
    )


def tokens(root, masked, crawl_folder, num_workers):
    """The corpus-level artifacts: deduplicated and decontaminated documents, tokenizer, shards."""
    unique = deduplicate_partitions(
        masked,
        paths.artifact_path("deduplicated_documents", root=root),
        DeduplicationConfig(),
        num_workers=num_workers,
    )
    prompts = EvaluationSet(
        name="problems", path=str(crawl_folder / "problems.jsonl"), fields=("prompt",), split="heldout"
    )
    items = publish_evaluation_items([prompts], paths.artifact_path("evaluation_items", root=root))
    documents = decontaminate_corpus(unique, items, paths.artifact_path("decontaminated_documents", root=root))
    tokenizer = train_corpus_tokenizer(
        documents, paths.artifact_path("tokenizer", root=root), TokenizerConfig(vocab_size=600)
    )
    shards = write_token_shards(
        documents, tokenizer, paths.artifact_path("token_shards", root=root), TokenizeConfig(validation_share=0.2)
    )
    return {
        "deduplicated_documents": {None: unique},
        "decontaminated_documents": {None: documents},
        "tokenizer": {None: tokenizer},
        "token_shards": {None: shards},
    }
