"""The UI in a browser, from an empty instance on: launch, look, curate, preview, cancel, go on.

The tests build on each other, in their order. `make test-browser` runs them; `make test` does not.
"""

import itertools
import os
import re
import signal
import urllib.parse

import pytest
import yaml

from assets.automation.jobs import curate_crawl
from assets.definitions import defs
from tests.assets.runs import TINY
from tests.pipelines import warc_making as making

pytestmark = [pytest.mark.browser, pytest.mark.timeout(3_600)]

GROUP = "local/g0000"


def launchpad(page, job, config):
    """Open a job's launchpad with a configuration, as the link on the page of the job `demo` does."""
    ops = {name: {"config": values} for name, values in config.items()}
    query = urllib.parse.urlencode({"mode": "default", "config": yaml.safe_dump({"ops": ops})})
    page.goto(f"/locations/loam/jobs/{job}/playground/setup?{query}")
    page.get_by_text("No errors").wait_for()


def write_config(page, text):
    """Replace the text of the configuration editor."""
    page.locator(".CodeMirror").last.evaluate("(editor, text) => editor.CodeMirror.setValue(text)", text)


def lines_of(ui, run_id):
    """The messages of a run's log."""
    events = "... on EventConnection { events { ... on MessageEvent { message } } }"
    query = f'{{ logsForRun(runId: "{run_id}", limit: 10000) {{ {events} }} }}'
    return "\n".join(event.get("message", "") for event in ui.ask(query)["logsForRun"]["events"])


def test_the_demo_starts_from_the_launchpad_of_an_empty_instance(ui, page):
    page.goto("/locations/loam/jobs/demo")
    link = page.get_by_role("link", name="open the launchpad with its settings")
    assert "num_warc_files" in urllib.parse.unquote(link.get_attribute("href"))
    link.click()
    page.get_by_text("No errors").wait_for()
    ops = {name: {"config": values} for name, values in TINY.items()}
    write_config(page, yaml.safe_dump({"ops": ops}))
    page.get_by_text("No errors").wait_for()
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))
    run_id = re.search(r"[0-9a-f-]{36}", page.url)[0]
    assert ui.end_of(run_id) == "SUCCESS", lines_of(ui, run_id)
    page.goto("/locations/loam/jobs/demo/runs")
    page.get_by_role("link", name=run_id[:8]).first.wait_for()


def test_one_asset_is_materialized(ui, page):
    before = {run["runId"] for run in ui.runs()}
    page.goto("/assets/training_plan")
    page.get_by_role("button", name="Materialize").first.click()
    run_id = ui.newest_run(before, page)
    assert ui.end_of(run_id) == "SUCCESS", lines_of(ui, run_id)


def test_an_inline_chart_a_plot_and_a_check_are_read(page):
    page.goto("/assets/pretrained_model?view=overview")
    chart = page.locator('img[src^="data:image/svg+xml"]').first
    chart.wait_for()
    assert chart.bounding_box()["height"] > 50
    page.get_by_role("button", name="Plots").click()
    page.locator("canvas").first.wait_for()
    page.goto("/assets/pretrained_model?view=checks")
    page.get_by_text("loss_is_finite_and_falls").first.wait_for()


def test_the_graph_shows_whole_names(page):
    page.goto("/locations/loam/asset-groups/curation/lineage")
    page.get_by_text("masked_documents").first.wait_for()
    for name in ("raw_documents", "language_documents", "prose_documents", "varied_documents", "harmless_documents"):
        assert page.get_by_text(name, exact=True).first.is_visible()


def open_partitions_dialog(page, num_assets):
    """Open a job's dialog of partitions, and wait until it has the state of the groups for each asset: with the last
    answer it sets its selection anew, and would drop a group that was added before.
    """
    answers = itertools.count(1)

    def is_last(response):
        query = response.request.post_data_json if response.request.method == "POST" else None
        return (query or {}).get("operationName") == "PartitionHealthQuery" and next(answers) == num_assets

    with page.expect_response(is_last):
        page.get_by_role("button", name="Materialize all").click()


def test_a_folder_of_warc_files_is_added_and_curated(ui, page, tmp_path):
    """In the dialog of the job: a partition, its folder, and go."""
    folder = making.folder_of(tmp_path / "warcs", {"a": [making.article(f"page {number}") for number in range(4)]})
    before = {run["runId"] for run in ui.runs()}
    page.goto("/locations/loam/jobs/curate_crawl")
    open_partitions_dialog(page, num_assets=len(curate_crawl.selection.resolve(defs.resolve_asset_graph())))
    page.get_by_text("Add a partition").click()
    page.get_by_placeholder("name", exact=True).fill(GROUP)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Launch 1 run").wait_for()
    page.get_by_role("dialog").get_by_text("Config", exact=True).click()
    page.get_by_role("button", name="Add config").click()
    unjudged = {"config": {"judge": "none"}}
    ops = {
        "warc_files": {"config": {"folder": str(folder)}},
        "harmless_documents": unjudged,
        "quality_documents": unjudged,
    }
    write_config(page, yaml.safe_dump({"ops": ops}))
    page.get_by_role("button", name="Save config").click()
    page.get_by_role("button", name="Launch 1 run").click()
    run_id = ui.newest_run(before, page)
    assert ui.end_of(run_id) == "SUCCESS", lines_of(ui, run_id)
    page.goto(f"/assets/masked_documents?view=partitions&partition={urllib.parse.quote(GROUP, safe='')}")
    page.get_by_text("num_kept").first.wait_for()


def test_the_sensor_is_previewed(ui, page):
    page.goto("/locations/loam/sensors/local_warc_folder")
    page.get_by_role("button", name="Preview tick result").click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("holds no files named .warc").first.wait_for()


def terminate(page, run_id):
    """Terminate a run by the button of its page."""
    page.goto(f"/runs/{run_id}")
    page.get_by_role("button", name="Terminate").first.click()
    confirmation = page.get_by_role("dialog").get_by_role("button", name="Terminate")
    confirmation.click()
    confirmation.wait_for(state="hidden")
    page.goto("about:blank")  # a page that follows the log of a training takes the time of a core


def test_a_training_is_cancelled_and_goes_on_from_its_checkpoint(ui, page):
    """By hand after a cancellation, by itself after the run's process was killed."""
    config = TINY["pretrained_model"] | {"batch_size": 1, "num_steps": 8_000, "checkpoint_interval": 10}
    before = {run["runId"] for run in ui.runs()}
    page.goto("/assets/pretrained_model")
    page.get_by_role("button", name="Materialize").first.click(modifiers=["Shift"])
    page.locator(".CodeMirror").last.wait_for()
    write_config(page, yaml.safe_dump({"ops": {"pretrained_model": {"config": config}}}))
    page.get_by_role("button", name=re.compile("Materialize|Launch Run")).last.click()
    first = ui.newest_run(before, page)
    checkpoints = ui.home / "artifacts" / "pretrained_model.work" / "checkpoints"
    ui.wait_until(lambda: any(checkpoints.glob("step-*/manifest.json")), lambda: lines_of(ui, first))
    terminate(page, first)
    assert ui.end_of(first) == "CANCELED", lines_of(ui, first)

    before = {run["runId"] for run in ui.runs()}
    page.goto(f"/runs/{first}")
    page.get_by_role("button", name=re.compile("Re-execute")).first.click()
    second = ui.newest_run(before, page)
    ui.wait_until(lambda: "resumed from" in lines_of(ui, second), lambda: lines_of(ui, second))

    before = {run["runId"] for run in ui.runs()}
    os.kill(int(re.search(r"in process \(pid: (\d+)\)", lines_of(ui, second))[1]), signal.SIGKILL)
    third = ui.newest_run(before, page)
    assert ui.end_of(second) == "FAILURE"
    ui.wait_until(lambda: "resumed from" in lines_of(ui, third), lambda: lines_of(ui, third))
    terminate(page, third)
    assert ui.end_of(third) == "CANCELED", lines_of(ui, third)
