"""The digest of code: it changes with the sources that shape a result, and only with them."""

import pytest

from lm import code_version


@pytest.fixture
def edited(monkeypatch):
    """Pretend that one module's source has another line."""
    real = code_version._source.__wrapped__

    def edit(module, line=b"\n# edited"):
        monkeypatch.setattr(code_version, "_source", lambda name: real(name) + (line if name == module else b""))
        code_version.source_digest.cache_clear()
        code_version._imports.cache_clear()

    yield edit
    monkeypatch.undo()
    code_version.source_digest.cache_clear()
    code_version._imports.cache_clear()


def test_an_edit_below_changes_the_digest_and_an_edit_elsewhere_does_not(edited):
    before = code_version.source_digest("lm.shards")
    edited("lm.configuration")
    assert code_version.source_digest("lm.shards") == before
    edited("lm.shards")
    assert code_version.source_digest("lm.shards") != before


def test_imports_are_followed_to_any_depth(edited):
    before = code_version.source_digest("pipelines.paths")
    followed = code_version.contributing_modules("pipelines.paths")
    assert followed >= {"pipelines.paths", "lm.locations"}
    edited("pipelines.paths", b"\nfrom pipelines.documents import schema")
    with_import = code_version.source_digest("pipelines.paths")
    assert with_import != before
    added = code_version.contributing_modules("pipelines.documents.schema") | {"pipelines.documents"}
    assert code_version.contributing_modules("pipelines.paths") == followed | added
    assert "pipelines.documents.schema" not in followed


def test_an_unknown_module_is_an_error():
    with pytest.raises(ModuleNotFoundError, match=r"lm\.nowhere"):
        code_version.source_digest("lm.nowhere")
