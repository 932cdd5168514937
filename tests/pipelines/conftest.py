"""One small demo crawl that went through the whole refinery, for the tests that only read it."""

import pytest

from tests.pipelines.curated import curate_demo


@pytest.fixture(scope="session")
def curated_demo(tmp_path_factory):
    """The folder with `home` and `crawl`, and every artifact by step and partition."""
    folder = tmp_path_factory.mktemp("curated")
    return folder, curate_demo(folder / "home", folder / "crawl")
