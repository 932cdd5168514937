"""A small demo crawl sent through the whole curation, as the assets do it; for tests of what comes out."""

from pathlib import Path

from pipelines import paths
from pipelines.classifiers.fasttext_training import ClassifierConfig
from pipelines.curation.run import curate
from pipelines.curation.settings import EvaluationSources, Settings
from pipelines.curation.steps import CORPUS
from pipelines.decontamination.items import EvaluationSet
from pipelines.demo_crawl import DemoCrawlConfig, write_demo_crawl
from pipelines.filters.trained import QualityConfig, make_harmful_classifiers, make_quality_classifier
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
    """Every artifact of the curation and its tokens below `root`, by step and partition."""
    crawl_folder.mkdir(parents=True, exist_ok=True)
    if not (crawl_folder / "warc").exists():
        write_demo_crawl(CRAWL, crawl_folder)
    train_classifiers(root, crawl_folder)
    source = WarcSource(kind="demo", folder=str(crawl_folder / "warc"), files_per_group=1)
    groups = {key: resolve_group(source, key, root / "downloads") for key in list_groups(source)}
    prompts = EvaluationSet(
        name="problems", path=str(crawl_folder / "problems.jsonl"), fields=("prompt",), split="heldout"
    )
    settings = Settings(evaluation_items=EvaluationSources(sets=(prompts,)), quality=QualityConfig(keep_share=None))
    made = curate(groups, root, settings, num_workers=num_workers)
    return made | tokens(root, made[CORPUS][None])


def train_classifiers(root, crawl_folder):
    """The classifiers, trained on the crawl's labels."""
    config = ClassifierConfig(min_examples_seen=4000)
    make_quality_classifier(
        crawl_folder / "quality_labels.jsonl", paths.artifact_path("quality_classifier", root=root), config
    )
    make_harmful_classifiers(
        crawl_folder / "harmful_labels.jsonl", paths.artifact_path("harm_classifiers", root=root), config
    )


def tokens(root, documents):
    """The tokenizer and the shards of a corpus."""
    tokenizer = train_corpus_tokenizer(
        documents, paths.artifact_path("tokenizer", root=root), TokenizerConfig(vocab_size=600)
    )
    shards = write_token_shards(
        documents, tokenizer, paths.artifact_path("token_shards", root=root), TokenizeConfig(validation_share=0.2)
    )
    return {"tokenizer": {None: tokenizer}, "token_shards": {None: shards}}
