"""The artifacts of the steps of a small curation."""

import pytest


@pytest.fixture
def step(curated_demo):
    """The artifacts of a step, and of the one before it."""

    def of(name, before):
        return [list(curated_demo[1][each].values()) for each in (name, before)]

    return of
