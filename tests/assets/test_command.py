"""The command `python -m assets`: groups with their sources, without a shell's knowledge of Dagster."""

import dagster as dg
import pytest

from assets.__main__ import main
from assets.support.promotion import promoted
from lm import storage
from lm.errors import ConfigurationError, InputError
from pipelines.sources.group_source import stored_source
from tests.pipelines import warc_making as making


@pytest.fixture
def dagster_home(tmp_path, monkeypatch):
    (tmp_path / "dagster").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))


def registered():
    with dg.DagsterInstance.get() as instance:
        return sorted(instance.get_dynamic_partitions("warc_groups"))


def test_groups_are_registered_with_their_sources(tmp_path, dagster_home, loam_home, capsys):
    folder = making.folder_of(tmp_path / "warcs", {name: [making.article(name)] for name in "abc"})
    main(["partitions", "add", "local/g0000", "local/g0001", "--folder", str(folder)])
    main(["partitions", "add", "CC-MAIN-2024-22/g0000"])
    assert registered() == ["CC-MAIN-2024-22/g0000", "local/g0000", "local/g0001"]
    assert stored_source(loam_home, "local/g0001").files == ("c.warc.gz",)
    told = capsys.readouterr().out
    main(["partitions", "list"])
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(told.splitlines())
    assert f"local/g0000  {folder}: a.warc.gz, b.warc.gz" in told


def test_a_mistake_registers_nothing(tmp_path, dagster_home, loam_home):
    with pytest.raises(InputError, match="no such folder"):
        main(["partitions", "add", "local/g0000", "--folder", str(tmp_path / "nowhere")])
    with pytest.raises(ConfigurationError, match="expected CRAWL/gNNNN"):
        main(["partitions", "add", "mycrawl"])
    assert registered() == []


def test_the_promoted_model_is_named(loam_home, capsys):
    target = loam_home / "artifacts" / "pretrained_model"
    with storage.publish(target, kind="model", config={}, inputs={"token_shards": "x"}, code="") as publication:
        (publication.path / "x").write_text("x")
        publication.summary["bits_per_byte"] = 0.5
    assert main(["promote"]) == 0
    digest = publication.artifact.digest[:12]
    assert capsys.readouterr().out == f"promoted pretrained_model {digest}, 0.5000 bits per byte\n"
    assert promoted(loam_home)["bits_per_byte"] == 0.5


def test_without_dagsters_home_it_says_so(monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(ConfigurationError, match="DAGSTER_HOME is not set"):
        main(["partitions", "list"])


def test_a_home_of_dagster_that_is_not_there_yet_is_made(tmp_path, monkeypatch, loam_home):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "new" / "dagster"))
    main(["partitions", "add", "CC-MAIN-2024-22/g0000"])
    assert (tmp_path / "new" / "dagster" / "dagster.yaml").is_file()
    assert {"CC-MAIN-2024-22/g0000", "demo/g0000"} <= set(registered())
