"""The curation's assets: the command's bytes, the home's settings, and no mixture of settings."""

import dagster as dg
import pytest

from assets.support.resources import LoamHome
from lm.storage import open_artifact
from pipelines.curation.__main__ import main
from pipelines.curation.settings import FILE_NAME
from pipelines.curation.steps import CURATION, DEDUPLICATION, LAST_OF_PARTITION
from pipelines.paths import artifact_path
from tests.assets.conftest import defs
from tests.pipelines import warc_making as making

SETTINGS = "language: {languages: [en, de]}\nharmful: {judge: none}\nquality: {judge: none}\n"
PARTITIONED = [step.artifact for step in CURATION if step.partitioned]


@pytest.fixture
def warc(tmp_path):
    """A folder of two WARC files, three pages each."""
    pages = {name: [making.article(f"{name}{number}") for number in range(3)] for name in "ab"}
    return making.folder_of(tmp_path / "warc", pages)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("warc_groups", ["local/g0000", "local/g0001"])
        yield made


def materialize(instance, home, names, partition=None, config=None):
    """Whether some assets could be materialized, and what Dagster shows where one could not."""
    result = dg.materialize(
        [defs.get_assets_def(name) for name in names],
        selection=list(names),
        instance=instance,
        resources=defs.resources | {"home": LoamHome(path=str(home))},
        run_config={"ops": {name: {"config": values} for name, values in (config or {}).items()}},
        partition_key=partition,
        raise_on_error=False,
    )
    failures = result.filter_events(lambda event: event.is_step_failure)
    return result.success, [event.step_failure_data.user_failure_data.description for event in failures]


def curate(instance, home, warc, partition, **config):
    config["warc_files"] = {"folder": str(warc), "files_per_group": 1}
    return materialize(instance, home, ["warc_files", *PARTITIONED], partition, config)


def digest(home, name, partition=None):
    return open_artifact(artifact_path(name, partition, home)).digest


def test_the_command_makes_the_bytes_of_the_assets(instance, warc, tmp_path):
    """Settings from the home's file; every artifact up to the corpus."""
    assets, command = tmp_path / "assets", tmp_path / "command"
    assets.mkdir()
    (assets / FILE_NAME).write_text(SETTINGS)
    for partition in ("local/g0000", "local/g0001"):
        assert curate(instance, assets, warc, partition) == (True, [])
    assert materialize(instance, assets, [DEDUPLICATION.artifact]) == (True, [])
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    arguments = ["--warc", str(warc), "--out", str(command), "--config", str(tmp_path / "settings.yaml")]
    assert main([*arguments, "--files-per-group", "1", "--workers", "1"]) == 0
    for name in PARTITIONED:
        for partition in ("local/g0000", "local/g0001"):
            assert digest(assets, name, partition) == digest(command, name, partition), name
    assert digest(assets, DEDUPLICATION.artifact) == digest(command, DEDUPLICATION.artifact)
    kept = open_artifact(artifact_path(LAST_OF_PARTITION.artifact, "local/g0000", command)).summary["num_kept"]
    assert kept == 3


def test_what_a_launch_sets_lies_over_the_file_and_does_not_mix_silently(instance, warc, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / FILE_NAME).write_text(SETTINGS)
    assert curate(instance, home, warc, "local/g0000") == (True, [])
    assert curate(instance, home, warc, "local/g0001", language_documents={"languages": ["en", "fr"]}) == (True, [])
    made, (told,) = materialize(instance, home, [DEDUPLICATION.artifact])
    assert not made
    assert "'local/g0000' and 'local/g0001' were curated with different settings: language.languages" in told
    mixed = {DEDUPLICATION.artifact: {"mixed_settings": True}}
    assert materialize(instance, home, [DEDUPLICATION.artifact], config=mixed) == (True, [])


def test_a_mistake_in_the_file_fails_with_its_place(instance, warc, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / FILE_NAME).write_text("language: {treshold: 0.5}\n")
    made, told = curate(instance, home, warc, "local/g0000")
    assert not made and "curation.yaml.language: unknown key 'treshold'; did you mean 'threshold'?" in told[0]
