"""The definitions: they load without a warning, and each asset is described."""

import subprocess
import sys

import dagster as dg

from tests.assets.runs import defs
from tests.conftest import REPOSITORY

LOAD = """
from assets.definitions import defs
defs.resolve_asset_graph()
print(*sorted(job.name for job in defs.resolve_all_job_defs()))
"""


def test_definitions_load_and_are_described():
    dg.Definitions.validate_loadable(defs)
    for key, spec in ((spec.key, spec) for spec in defs.resolve_all_asset_specs()):
        assert spec.description, key
        assert spec.group_name in {
            "crawl",
            "curation",
            "tokens",
            "pretraining",
            "experiments",
            "scaling",
            "alignment",
            "evaluation",
        }, key


def test_no_deprecated_call_is_left():
    """A process of its own: pytest has filters of its own, and modules that are loaded do not warn again."""
    errors = (f"-Werror::{kind}" for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning"))
    command = [sys.executable, *errors, "-c", LOAD]
    loaded = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr
    assert {"ablate", "align", "curate_crawl", "demo", "pretrain"} <= set(loaded.stdout.split())
