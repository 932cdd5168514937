"""Metadata of assets agrees with their artifacts: counts, rules, samples, tables, curves."""

import base64
import io
import json
import re

import dagster as dg
import pytest

from assets.support import plots
from assets.support.plots import rounded
from assets.support.resources import LoamHome
from lm.shards import TokenShards
from lm.tokenizer import Tokenizer
from pipelines.curation.steps import CURATION
from pipelines.documents.view import read_removals, read_table
from pipelines.filters.trained import measurements
from tests.assets.runs import defs, materializations
from tests.assets.tables import rows_of

STEPS = [step.artifact for step in CURATION]
PNG_SIZE = (374, 770)
CURVES = [
    ("harm_classifiers", "roc_curve", 2),
    ("harm_classifiers", "calibration", 2),
    ("quality_classifier", "roc_curve", 1),
    ("tokenizer_report", "compression", 1),
    ("training_budget", "shares_by_context", 2),
    ("pretrained_model", "loss", 1),
    ("pretrained_model", "learning_rate", 1),
    ("pretrained_model", "gradient_norm", 1),
    ("pretrained_model", "speed", 1),
    ("sft_model", "loss", 1),
    ("dpo_model", "reward_margin", 1),
    ("grpo_model", "reward", 1),
]
"""Assets, their plots, and the least number of curves in each."""
MOST_NAME_CHARACTERS = 26


@pytest.fixture
def home(tiny_run, tiny_home):
    return LoamHome(path=str(tiny_home))


@pytest.fixture
def shown(tiny_run):
    """A function that gives a value of an asset's metadata, of its last group."""
    events = materializations(tiny_run)

    def value(name, key):
        found = events[name].materialization.metadata[key]
        is_table = isinstance(found, dg.TableMetadataValue) or re.match(r"\| .*\n\| -", str(found.value))
        return rows_of(found) if is_table else found.value

    return value


@pytest.fixture
def artifact_of(tiny_run, home):
    """A function that gives the artifact that an asset's last materialization is of."""
    events = materializations(tiny_run)
    return lambda name: home.artifact(name, events[name].partition)


def picture(markdown):
    """The bytes of the picture in Markdown."""
    return base64.b64decode(re.fullmatch(r"!\[.*\]\(data:image/[a-z+]+;base64,(.*)\)", markdown).group(1))


def titles(markdown):
    """The texts that the bars of a drawing show, by what stands before their colon."""
    _, *bars = re.findall("<title>(.*?)</title>", picture(markdown).decode())
    return dict(title.rsplit(": ", 1) for title in bars)


@pytest.mark.parametrize("step", CURATION, ids=lambda step: step.artifact)
def test_the_funnel_has_the_counts_of_the_step(shown, artifact_of, step):
    summary = artifact_of(step.artifact).summary
    svg = picture(shown(step.artifact, "funnel_chart")).decode()
    drawn = {tuple(each) for each in re.findall(rf"<title>{step.stage}: ([\d,]+) (\w+)</title>", svg)}
    counts = {(f"{summary[f'num_{kind}']:,}", kind) for kind in ("kept", "removed", "lost") if summary[f"num_{kind}"]}
    assert drawn == counts


@pytest.mark.parametrize("name", ["raw_documents", "language_documents", "unique_documents"])
def test_rules_have_their_shares(shown, artifact_of, name):
    summary = artifact_of(name).summary
    counts = summary["removed_by_rule"] | summary["lost_by_reason"]
    assert counts
    assert titles(shown(name, "removed")) == {
        rule: f"{count / summary['num_in']:.2%}" for rule, count in counts.items()
    }


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("language_documents", "language_score"),
        ("harmless_documents", "toxic_score"),
        ("quality_documents", "quality_score"),
    ],
)
def test_histograms_hold_every_document(shown, artifact_of, name, column):
    svg = picture(shown(name, f"{column}_histogram")).decode()
    drawn = {"kept": 0, "removed": 0}
    for count, kind in re.findall(r": ([\d,]+) (kept|removed)</title>", svg):
        drawn[kind] += int(count.replace(",", ""))
    assert drawn["kept"] == artifact_of(name).summary["num_kept"]
    assert drawn["removed"] <= artifact_of(name).summary["num_removed"]


@pytest.mark.parametrize("name", STEPS)
def test_samples_are_of_the_documents(shown, artifact_of, name):
    kept = read_table(artifact_of(name), ["url"]).column("url").to_pylist()
    urls = re.findall(r"^\| `(.*?)` \|", shown(name, "kept_samples"), re.MULTILINE)
    assert len(urls) == min(10, len(kept)) and set(urls) <= set(kept)
    removed = read_removals(artifact_of(name)).column("url").to_pylist()
    if removed:
        urls = re.findall(r"^\| `(.*?)` \|", shown(name, "removed_samples"), re.MULTILINE)
        assert len(urls) == min(10, len(removed)) and set(urls) <= set(removed)


def test_masks_are_counted(shown, artifact_of):
    masked = read_table(artifact_of("masked_documents"))
    kinds = [name for name in masked.schema.names if name.startswith("num_pii")]
    sums = sorted(sum(masked.column(kind).to_pylist()) for kind in kinds)
    drawn = sorted(int(count) for count in titles(shown("masked_documents", "counted")).values())
    assert drawn == [count for count in sums if count] and drawn[-1] == sum(drawn[:-1])


def test_the_table_of_the_report_sums_the_groups(shown, tiny_home, home):
    rows = {row["stage"]: row for row in shown("curation_report", "stages")}
    assert list(rows) == [step.stage for step in CURATION]
    for step in CURATION:
        groups = ["demo/g0000", "demo/g0001"] if step.partitioned else [None]
        summaries = [home.artifact(step.artifact, group).summary for group in groups]
        for count in ("num_in", "num_kept", "num_removed", "num_lost", "text_bytes_kept"):
            assert rows[step.stage][count] == sum(summary[count] for summary in summaries), (step.stage, count)


@pytest.mark.parametrize(
    ("name", "file"),
    [("curation_report", "report.md"), ("tokenizer_report", "report.md"), ("evaluation_report", "report.md")],
)
def test_a_report_is_the_artifacts(shown, artifact_of, name, file):
    text = artifact_of(name).file(file).read_text(encoding="utf-8")
    assert text.startswith("# ") and shown(name, "report") == text


def test_the_crawls_pages_by_world(shown, artifact_of):
    pages = artifact_of("demo_crawl").summary["num_pages_by_world"]
    assert titles(shown("demo_crawl", "worlds")) == {world: f"{count} pages" for world, count in pages.items()}
    assert sum(pages.values()) == 240


@pytest.mark.parametrize("name", ["quality_classifier", "harm_classifiers"])
def test_rates_of_classifiers(shown, artifact_of, name):
    measured = measurements(artifact_of(name))
    for row in shown(name, "rates"):
        assert row["roc_auc"] == rounded(measured[row["classifier"]]["roc_auc"])
    assert {row["classifier"] for row in shown(name, "rates")} == set(measured)
    words = {(row["classifier"], row["label"]): set(row["words"].split(", ")) for row in shown(name, "top_words")}
    for classifier in measured:
        assert words[classifier, "positive"] and not words[classifier, "positive"] & {"", None}
        assert words[classifier, "positive"] != words[classifier, "negative"]


def test_tables_of_tokens(shown, artifact_of):
    tokenizer = Tokenizer.load(artifact_of("tokenizer"))
    left, right = tokenizer.merges[0]
    first = shown("tokenizer", "first_merges")[0]
    assert (first["merge"], first["left"], first["right"]) == (
        0,
        *(each.decode().replace(" ", "␣") for each in (left, right)),
    )
    longest = shown("tokenizer", "longest_tokens")[0]
    assert longest["bytes"] == max(map(len, tokenizer.vocab.values()))
    (source,) = shown("training_mixture", "sources")
    assert source["tokens_available"] == TokenShards.open(artifact_of("token_shards"), "train").num_tokens


def test_tables_of_the_plan(shown, artifact_of):
    tables = json.loads(artifact_of("training_plan").file("plan.json").read_text())
    assert set(tables) == {"budgets", "presets"}
    for name, rows in tables.items():
        assert shown("training_plan", name) == rows_of(plots.table([plots.readable(row) for row in rows]))


@pytest.mark.parametrize("name", ["sft_model", "dpo_model", "grpo_model"])
def test_samples_of_a_model_answer_held_out_prompts(shown, artifact_of, name):
    data = artifact_of("alignment_data")
    prompts = {
        row["id"]: row["prompt"]
        for file in data.files
        for row in map(json.loads, data.file(file).read_text().splitlines())
    }
    rows = shown(name, "samples")
    assert rows
    for row in rows:
        assert prompts[row["id"]] == row["prompt"] and "heldout" in row["id"]


INLINE = [
    *((step.artifact, "funnel") for step in CURATION),
    ("curation_report", "funnel"),
    ("pretrained_model", "loss_curve"),
    ("sft_model", "loss_curve"),
    ("dpo_model", "reward_margin_curve"),
    ("grpo_model", "verified_rate_curve"),
]


@pytest.mark.parametrize(("name", "plot"), INLINE)
def test_key_charts_are_shown_without_a_click(tiny_run, shown, name, plot):
    """Dagster's page shows Markdown of fewer than 1,000 characters; such a chart comes before all other metadata."""
    assert len(shown(name, plot)) < 1_000
    assert picture(shown(name, plot)).startswith(b"<svg")
    assert next(iter(materializations(tiny_run)[name].materialization.metadata)) == plot


def test_rates_of_evaluations_are_numbers(shown, artifact_of):
    summary = artifact_of("evaluation_report").summary
    for stage in ("pretrained", "sft", "dpo", "grpo"):
        assert shown("evaluation_report", f"{stage}/bits_per_byte") == rounded(summary[stage]["bits_per_byte"])


def test_names_leave_the_width_to_the_values_and_nothing_hides_in_json(tiny_run):
    """The page gives a long name its width and cuts the tables beside it."""
    entries = [
        (asset, name, value)
        for asset, event in materializations(tiny_run).items()
        for name, value in event.materialization.metadata.items()
    ]
    assert [each[:2] for each in entries if len(each[1]) > MOST_NAME_CHARACTERS] == []
    assert [each[:2] for each in entries if isinstance(each[2], dg.JsonMetadataValue)] == []


def test_gains_and_stages_are_tables(shown, artifact_of):
    summary = artifact_of("evaluation_report").summary
    assert [(row["from"], row["to"]) for row in shown("evaluation_report", "gains")] == [
        (each["from"], each["to"]) for each in summary["gains"]
    ]
    bits = next(row for row in shown("evaluation_report", "stages") if row["figure"] == "bits per byte")
    assert bits["grpo"] == rounded(summary["grpo"]["bits_per_byte"])


def test_documents_have_rows_and_columns(shown, artifact_of):
    for step in CURATION:
        made = artifact_of(step.artifact)
        assert shown(step.artifact, "dagster/row_count") == made.summary["num_kept"]
        columns = shown(step.artifact, "dagster/column_schema").columns
        assert [column.name for column in columns] == read_table(made).schema.names


@pytest.mark.fault(45)
def test_the_code_version_is_that_of_the_artifact(tiny_run, artifact_of):
    """An edit changes both, so what Dagster's graph shows as changed is what is made again."""
    versions = {spec.key.to_user_string(): spec.code_version for spec in defs.resolve_all_asset_specs()}
    for name in materializations(tiny_run):
        assert versions[name] == artifact_of(name).code, name


def test_nothing_empty_is_shown(tiny_run):
    """An empty [Show JSON] is a click for nothing."""
    for name, event in materializations(tiny_run).items():
        for key, value in event.materialization.metadata.items():
            assert not (isinstance(value, dg.JsonMetadataValue) and not value.value), (name, key)


@pytest.mark.parametrize(("name", "plot", "num_curves"), CURVES)
def test_plots_have_their_curves(shown, name, plot, num_curves):
    image = pytest.importorskip("matplotlib.image").imread(io.BytesIO(picture(shown(name, plot))))
    assert image.shape[:2] == PNG_SIZE
    colours = [(0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E)]  # matplotlib's first two
    for red, green, blue in colours[:num_curves]:
        near = abs(image[..., :3] * 255 - (red, green, blue)).max(axis=-1) < 3
        assert near.sum() > 30, (red, green, blue)


def test_document_lengths_are_drawn(shown):
    image = pytest.importorskip("matplotlib.image").imread(
        io.BytesIO(picture(shown("token_shards", "document_lengths")))
    )
    near = abs(image[..., :3] * 255 - (0x4C, 0x72, 0xB0)).max(axis=-1) < 3
    assert near.sum() > 100
