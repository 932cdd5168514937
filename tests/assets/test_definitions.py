"""The definitions: they load without a warning, and each asset is described."""

import graphlib
import re
import subprocess
import sys
import tomllib

import dagster as dg
import yaml

from tests.assets.runs import defs
from tests.conftest import REPOSITORY

LOAD = """
from assets.definitions import defs
defs.resolve_asset_graph()
print(*sorted(job.name for job in defs.resolve_all_job_defs()))
"""


GROUPS = (
    "sources", "classifiers", "curation", "corpus", "tokens", "pretraining", "scaling", "alignment", "evaluation",
    "experiments", "scaling_law",
)  # fmt: skip
"""In the order of a document's way."""

LONGEST_NAME = 18
"""Characters of a name that Dagster's graph shows when it is zoomed out; it cuts longer ones in the middle."""


def test_definitions_load_and_are_described():
    dg.Definitions.validate_loadable(defs)
    for key, spec in ((spec.key, spec) for spec in defs.resolve_all_asset_specs()):
        assert spec.description, key
        assert len(key.to_user_string()) <= LONGEST_NAME, key


def test_what_runs_by_itself_is_described_and_names_its_variables():
    found = [*defs.sensors, *defs.schedules]
    assert len(found) == 6
    for each in found:
        assert each.description, each.name
        assert each.default_status.value == "STOPPED", each.name
    variables = {
        "newest_crawl": {"LOAM_GROUPS_PER_CRAWL", "LOAM_CRAWL_INDEX"},
        "local_warc_folder": {"LOAM_WARC_FOLDER", "LOAM_WARC_CRAWL", "LOAM_WARC_FILES_PER_GROUP"},
        "enough_new_tokens": {"LOAM_RETRAIN_TOKENS"},
        "failure_reports": {"LOAM_FAILURE_WEBHOOK"},
    }
    for each in found:
        assert variables.get(each.name, set()) <= set(re.findall(r"LOAM_[A-Z_]+", each.description)), each.name


def test_the_workspace_and_the_project_name_one_code_location():
    """Dagster's own commands read `workspace.yaml`, and `dg` reads the project file."""
    (entry,) = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())["load_from"]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert entry["python_module"] == {
        "module_name": project["code_location_target_module"],
        "location_name": project["code_location_name"],
    }


def test_no_group_is_in_a_circle_with_another():
    specs = {spec.key: spec for spec in defs.resolve_all_asset_specs()}
    assert {spec.group_name for spec in specs.values()} == set(GROUPS)
    after = {group: set() for group in GROUPS}
    for spec in specs.values():
        after[spec.group_name] |= {specs[dep.asset_key].group_name for dep in spec.deps} - {spec.group_name}
    order = list(graphlib.TopologicalSorter(after).static_order())  # raises CycleError where there is a circle
    assert set(order) == set(GROUPS)


def test_no_deprecated_call_is_left():
    """A process of its own: pytest has filters of its own, and modules that are loaded do not warn again."""
    errors = (f"-Werror::{kind}" for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning"))
    command = [sys.executable, *errors, "-c", LOAD]
    loaded = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr
    assert {"ablate", "align", "curate_crawl", "demo", "pretrain"} <= set(loaded.stdout.split())
