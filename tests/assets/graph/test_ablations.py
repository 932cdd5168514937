"""The experiments: questions as partitions, their trainings through Pipes, one report."""

import dagster as dg
import pytest

from assets.definitions import defs
from lm.storage import open_artifact
from tests.assets.tables import rows_of
from tests.lm.training.corpora import make_shards

SMALL = {
    "num_tokens": 4_000,
    "seeds": [0],
    "training": {"preset": "test", "batch_size": 2, "num_threads": 1, "learning_rate": 1e-2},
    "num_evaluations": 2,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home that holds nothing but token shards."""
    folder = tmp_path_factory.mktemp("ablations") / "home"
    make_shards(folder / "artifacts" / "token_shards", num_documents=40)
    return folder


@pytest.fixture(scope="module")
def asked(home):
    """Two questions, then the report."""
    place = {"resources": {"home": {"config": {"path": str(home)}}}}
    assets = [defs.get_assets_def(name) for name in ("ablations", "ablation_report")]
    with dg.DagsterInstance.ephemeral() as instance:

        def run(name, config, **options):
            return dg.materialize(
                assets,
                selection=[name],
                run_config={**place, **config},
                resources=defs.resources,
                instance=instance,
                **options,
            )

        config = {"ops": {"ablations": {"config": SMALL}}}
        results = {name: run("ablations", config, partition_key=name) for name in ("ffn", "position")}
        return {**results, "report": run("ablation_report", {})}


def metadata_of(run):
    (event,) = run.get_asset_materialization_events()
    return event.materialization.metadata


def test_each_question_shows_its_curves_and_its_verdict(asked):
    for question, variants in (("ffn", {"SwiGLU", "SiLU"}), ("position", {"RoPE", "NoPE"})):
        assert asked[question].success
        metadata = metadata_of(asked[question])
        assert metadata["winner"].value in variants
        assert metadata["verdict"].value.startswith(f"{question}: ")
        assert metadata["validation_loss_curves"].md_str.startswith("![")
        assert {row["variant"] for row in rows_of(metadata["standings"])} == variants


def test_the_report_joins_what_was_asked(asked, home):
    assert asked["report"].success
    page = metadata_of(asked["report"])["report"].md_str
    assert "### ffn" in page and "### position" in page and "### norm" not in page
    report = open_artifact(home / "artifacts" / "ablation_report")
    assert set(report.summary["winners"]) == {"ffn", "position"}
    runs = home / "artifacts" / "ablations.work"
    assert len(list(runs.glob("*/manifest.json"))) == 3  # the base run is shared
