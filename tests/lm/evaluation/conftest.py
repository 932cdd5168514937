"""One thread of torch for every test here."""

import pytest


@pytest.fixture(autouse=True)
def on_one_thread(one_thread):
    """Every test here."""
