"""The home of artifacts: a folder, the environment's, or a store."""

from pathlib import Path

import pytest

from assets.support.resources import LoamHome
from lm import storage
from lm.errors import AbsentError
from pipelines.curation.settings import FILE_NAME


def test_without_a_path_the_home_is_the_environments(loam_home):
    assert LoamHome().root == loam_home
    assert LoamHome(path="there").root == Path.cwd() / "there"


def test_artifacts_are_found_by_asset_and_group(tmp_path):
    home = LoamHome(path=str(tmp_path))
    target = home.target("masked_documents", "demo/g0001")
    assert target == tmp_path / "artifacts" / "masked_documents" / "demo" / "g0001"
    with pytest.raises(AbsentError, match="masked_documents/demo/g0001: no artifact here"):
        home.artifact("masked_documents", "demo/g0001")
    with storage.publish(target, kind="documents", config={}, inputs={}, code="") as publication:
        (publication.path / "x").write_text("x")
    assert home.artifact("masked_documents", "demo/g0001") == publication.artifact


def test_the_settings_are_those_of_the_homes_file(tmp_path):
    home = LoamHome(path=str(tmp_path))
    assert home.settings().language.languages == ("en",)
    (tmp_path / FILE_NAME).write_text("language:\n  languages: [de, fr]\n")
    assert home.settings().language.languages == ("de", "fr")


def test_downloads_of_a_store_lie_on_this_machine(cache):
    pytest.importorskip("upath", reason="stores need universal_pathlib")
    assert LoamHome(path="memory://home").downloads == cache / "downloads"
