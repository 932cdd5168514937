"""Fault 45: an edit in any module makes exactly the artifacts stale whose content it shapes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lm.code_version import digest_of, follow

ROOT = Path(__file__).resolve().parents[2]
STARTS = {
    "demo_crawl": [
        "pipelines.demo_crawl.write.publish_demo_crawl",
        "pipelines.demo_crawl.configuration.DemoCrawlConfig",
    ],
    "warc_files": ["pipelines.sources.warc_groups.publish_files", "pipelines.sources.warc_file.WarcFile"],
    "raw_documents": [
        "pipelines.extract.partition._write_extracted",
        "pipelines.extract.records.ExtractConfig",
        "pipelines.sources.warc_file.WarcFile",
    ],
    **{
        f"{name}_documents": ["pipelines.filters.run._write_stage", f"pipelines.filters.{stage}"]
        for name, stage in {
            "language": "language.LanguageFilter",
            "prose": "heuristics.HeuristicFilter",
            "varied": "repetition.RepetitionFilter",
            "harmless": "harmful.HarmfulFilter",
            "quality": "quality.QualityFilter",
            "masked": "pii.PiiMasker",
        }.items()
    },
    "quality_classifier": ["pipelines.filters.trained.make_quality_classifier"],
    "harm_classifiers": ["pipelines.filters.trained.make_harmful_classifiers"],
    "evaluation_items": ["pipelines.decontamination.items.publish_evaluation_items"],
    "unique_documents": ["pipelines.dedup.corpus._write", "pipelines.dedup.corpus.DeduplicationConfig"],
    "clean_documents": [
        "pipelines.decontamination.corpus._write",
        "pipelines.decontamination.corpus.Decontaminator",
    ],
    "tokenizer": ["pipelines.tokens.shards.train_corpus_tokenizer"],
    "token_shards": ["pipelines.tokens.shards._write_shards", "lm.tokenizer.tokenizer.Tokenizer"],
    "training_mixture": ["pipelines.tokens.mixture.make_mixture"],
    "pretrained_model": ["lm.training.pretrain.pretrain"],
    "sft_model": ["lm.alignment.sft.train_sft"],
    "preference_pairs": ["lm.alignment.sampled_pairs.write_preference_pairs"],
    "rejection_samples": ["lm.alignment.rejection.write_rejection_samples"],
    "expert_model": ["lm.alignment.expert_iteration.iterate_experts"],
    "replay_control": ["lm.alignment.control.train_control"],
    "dpo_model": ["lm.alignment.dpo.train_dpo"],
    "grpo_model": ["lm.alignment.grpo.train_grpo"],
    "evaluation_report": ["lm.alignment.report.write_evaluation_report"],
}
"""Where the code of each artifact starts. Those of the refinery are compared with what it found by itself."""

UPDATED = {"pretrained_model", "sft_model", "dpo_model", "grpo_model", "expert_model", "replay_control"}
TRAINED = UPDATED | {"preference_pairs", "rejection_samples", "evaluation_report"}
STALE = {
    "pipelines.extract.site_boilerplate": {"raw_documents"},
    "pipelines.extract.partition": {"raw_documents"},
    "pipelines.extract.main_content": {"raw_documents"},
    "pipelines.extract.sandbox_child": {"raw_documents"},
    "pipelines.extract": set(),
    "pipelines.common_crawl.captures": set(),
    "pipelines.common_crawl.pages": set(),
    "pipelines.fetch.download": set(),
    "pipelines.executor.local": set(),
    "pipelines.executor.ray": set(),
    "pipelines.curation": set(),
    "pipelines.trace.trace": set(),
    "pipelines.report.charts": set(),
    "pipelines.filters.labels": {"quality_classifier", "harm_classifiers"},
    "pipelines.filters.pii.masker": {"masked_documents"},
    "pipelines.filters.language": {"language_documents", "quality_classifier"},
    "pipelines.dedup.lsh_kernels": {"unique_documents"},
    "pipelines.dedup.minhash_kernels": {"unique_documents", "clean_documents"},
    "pipelines.decontamination.kernels": {"clean_documents"},
    "pipelines.tokens.shards": {"tokenizer", "token_shards"},
    "pipelines.tokens.encoded_parts": {"token_shards"},
    "pipelines.demo_crawl.worlds.forum": {"demo_crawl"},
    "lm.tokenizer.training.learn": {"tokenizer"},
    "lm.tokenizer.encoding.merge": {"tokenizer", "token_shards"} | TRAINED,
    "lm.model.attention": TRAINED,
    "lm.training.muon": UPDATED,
    "lm.training.live_view": set(),
    "lm.alignment.grpo": {"grpo_model"},
    "lm.alignment.sft": {"sft_model", "expert_model"},
    "lm.alignment.rejection": {"rejection_samples", "expert_model"},
    "lm.errors": set(),
    "lm.progress": set(),
    "lm.storage": set(),
    "lm.remote_store": set(),
}
"""For some modules, all artifacts that an edit makes stale; their followers become so by the digests of inputs."""

EDITS = """
import json, sys
from lm import source_names
from lm.code_version import digest_of, follow

starts, edits = json.load(sys.stdin)
modules = {name: follow(start)[0] for name, start in starts.items()}

def digests():
    return {name: digest_of(found) for name, found in modules.items()}

before, stale = digests(), {}
for module in edits:
    path = source_names.source_path(module)
    source = path.read_bytes()
    path.write_bytes(source + b"\\n# edited\\n")
    source_names.source_of.cache_clear()
    stale[module] = sorted(name for name, digest in digests().items() if digest != before[name])
    path.write_bytes(source)
print(json.dumps(stale))
"""


@pytest.fixture(scope="module")
def stale(tmp_path_factory):
    """The artifacts that an edit makes stale, for each module of a copy of the tree."""
    copy = tmp_path_factory.mktemp("tree")
    for room in ("lm", "pipelines"):
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    modules = [
        ".".join(path.relative_to(copy).with_suffix("").parts).removesuffix(".__init__") for path in copy.rglob("*.py")
    ]
    run = subprocess.run(
        [sys.executable, "-c", EDITS], cwd=copy, input=json.dumps([STARTS, modules]), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return {module: set(names) for module, names in json.loads(run.stdout).items()}


@pytest.mark.fault(45)
@pytest.mark.parametrize("module", STALE)
def test_an_edit_makes_exactly_stale_what_it_shapes(stale, module):
    assert stale[module] == STALE[module]


@pytest.mark.fault(45)
def test_every_artifact_has_its_own_modules(stale):
    """No artifact is stale with an edit of every module, and none with none; nothing of the model shapes documents."""
    for name in STARTS:
        shaping = {module for module, names in stale.items() if name in names}
        assert 2 <= len(shaping) < len(stale) / 2, name
        if name.endswith("_documents"):
            of_model = {module for module in shaping if module.startswith("lm.")}
            assert of_model <= {"lm.configuration", "lm.compiled", "lm.kernels.minhash"}


@pytest.mark.fault(45)
def test_the_refinery_finds_these_starts_by_itself(curated_demo):
    folder, made = curated_demo
    for name in ("quality_classifier", "harm_classifiers", "evaluation_items"):
        manifest = json.loads((folder / "home" / "artifacts" / name / "manifest.json").read_text())
        assert manifest["code"] == digest_of(follow(STARTS[name])[0]), name
    for name, artifacts in made.items():
        for artifact in artifacts.values():
            assert artifact.code == digest_of(follow(STARTS[name])[0]), name
