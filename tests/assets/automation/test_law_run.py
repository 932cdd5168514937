"""The run of the own law: each preset of the grid is a configuration of its job."""

import dagster as dg
import pytest
import yaml

from assets.__main__ import main
from assets.automation import jobs
from assets.automation.demo_run import RANGE_END, launchpad_link
from assets.automation.law_run import law_run_config
from assets.support import launchpad
from lm.scaling.grid_config import GRIDS
from tests.assets.runs import defs


@pytest.mark.parametrize("name", GRIDS)
def test_a_preset_of_the_grid_is_a_configuration_of_the_job(name, capsys):
    assert main(["grid", name]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    job = defs.resolve_job_def("scaling_law")
    launchpad.check_run(config)
    dg.validate_run_config(job, config)
    assert job.tags[RANGE_END] == str(len(GRIDS[name].budgets_flops) - 1)
    assert config["ops"]["law_test"]["config"]["budgets_flops"] == list(GRIDS[name].budgets_flops)


def test_the_jobs_description_leads_to_the_larger_grid():
    assert launchpad_link("scaling_law", law_run_config(GRIDS["gpu"])) in jobs.scaling_law.description
