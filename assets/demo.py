"""`python -m assets.demo`: materialize every asset on the built-in crawl, with the time of each and a summary of
results.

The run is an ordinary Dagster run of the job `demo` in `DAGSTER_HOME`, so `make ui` shows it. Assets that are already
complete are not made again. Exit code 0: all assets exist and all checks passed; 1: a check failed; 2 or 3: the code of
the failed asset.
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
import threading
import uuid
import warnings
from collections.abc import Sequence

import dagster as dg

from assets.support.unpublished import LOCATION, REPOSITORY, place_in_ui
from lm.errors import Interrupted, LoamError, run_command
from pipelines import paths

_POLL_S = 0.2
_TAGS = {".dagster/repository": f"{REPOSITORY}@{LOCATION}", "dagster/max_retries": "0"}
"""The tag by which the job's page in the UI finds its runs; and no retries by the UI: a killed command is run again."""
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class DemoFailedError(LoamError):
    """A failed asset or asset check of the demo; the message names it and gives the reason."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StepPrinter(threading.Thread):
    """Progress of one run: prints a line for each finished asset, and on a terminal the running assets."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        super().__init__(daemon=True)
        self._instance = instance
        self._run_id = run_id
        self._ended = threading.Event()
        self._cursor: str | None = None
        self._is_placed = False

    def __enter__(self) -> StepPrinter:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self.join()
        self._print_new_events()

    def run(self) -> None:
        """Poll until the run has ended."""
        while not self._ended.wait(_POLL_S):
            self._print_new_events()

    def _print_new_events(self) -> None:
        page = self._instance.get_records_for_run(self._run_id, cursor=self._cursor)
        self._cursor = page.cursor
        for record in page.records:
            event = record.event_log_entry.dagster_event
            if event is not None:
                if event.is_step_start and not self._is_placed:
                    self._is_placed = True
                    place_in_ui(self._instance, self._run_id)
                _print_event(event)


def run_demo(num_pages: int | None, seed: int) -> None:
    """Run the job `demo` in this process, on all groups of the built-in crawl.

    Raises:
        DemoFailedError: an asset or a check failed.
        Interrupted: SIGINT; complete assets are kept, and a training resumes from its checkpoint.
    """
    from assets.automation.demo_run import demo_run_config, demo_tags
    from assets.definitions import defs
    from assets.support.launchpad import check_run

    run_config = demo_run_config(num_pages, seed)
    check_run(run_config)
    run_id = str(uuid.uuid4())
    with dg.DagsterInstance.get() as instance:
        try:
            with StepPrinter(instance, run_id):
                result = defs.resolve_job_def("demo").execute_in_process(
                    run_config={**run_config, **_QUIET},
                    instance=instance,
                    run_id=run_id,
                    tags={**demo_tags(), **_TAGS},
                    raise_on_error=False,
                )
        except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt):
            raise Interrupted("interrupted; run the command again to resume", signal.SIGINT) from None
    _raise_if_failed(result)


def _raise_if_failed(result: dg.ExecuteInProcessResult) -> None:
    for event in result.filter_events(lambda event: event.is_step_failure):
        data, error = event.step_failure_data.user_failure_data, event.step_failure_data.error
        if error is not None and error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
            raise Interrupted(f"{event.step_key}: interrupted; run the command again to resume", signal.SIGINT)
        if data is None:
            lines = (error.message if error else "failed").strip().splitlines()
            raise DemoFailedError(f"{event.step_key}: {lines[-1]}; `make ui` shows the whole error", 1)
        code = data.metadata.get("exit_code")
        raise DemoFailedError(f"{event.step_key}: {data.description}", int(str(code.value)) if code else 1)
    evaluations = result.get_asset_check_evaluations()
    failed = [each for each in evaluations if not each.passed and each.severity == dg.AssetCheckSeverity.ERROR]
    if failed:
        names = ", ".join(f"{check.asset_key.to_user_string()}.{check.check_name}" for check in failed)
        raise DemoFailedError(f"{len(failed)} asset checks failed: {names}", 1)
    if not result.success:
        raise DemoFailedError("the run failed; `make ui` shows its events", 1)


def _print_event(event: dg.DagsterEvent) -> None:
    if event.is_step_start and event.step_key in _asset_names():
        _show(f"    …      {event.step_key}", passing=True)
    elif event.is_step_success and event.step_key in _asset_names():
        seconds = (event.step_success_data.duration_ms or 0) / 1000
        _show(f"{seconds:8.1f} s  {event.step_key}")
    elif (
        event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION and not event.asset_check_evaluation_data.passed
    ):
        check = event.asset_check_evaluation_data
        mark = "FAILED " if check.severity == dg.AssetCheckSeverity.ERROR else "warning"
        _show(f"  {mark}  {check.asset_key.to_user_string()}.{check.check_name}: {check.description or ''}")


@functools.cache
def _asset_names() -> frozenset[str]:
    """Return the steps that make assets; the others are checks, which are printed only when they fail."""
    from assets.definitions import defs

    return frozenset(key.to_user_string() for key in defs.resolve_all_asset_keys())


def _show(line: str, *, passing: bool = False) -> None:
    """Print a line; a passing one only on a terminal, to be overwritten by the next."""
    if sys.stdout.isatty():
        print(f"\r\033[K{line}", end="" if passing else "\n", flush=True)
    elif not passing:
        print(line, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m assets.demo",
        description="Materialize every asset on the built-in crawl, with the time of each and a summary of results.",
    )
    parser.add_argument(
        "--num-pages", type=int, metavar="N", help="number of pages of the built-in crawl (default: the preset's)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the crawl and of every training run (default: 0)")
    parser.add_argument("--home", help="folder or store for all artifacts (default: $LOAM_HOME or .loam)")
    arguments = parser.parse_args(argv)
    if arguments.home is not None:
        os.environ["LOAM_HOME"] = str(paths.root_at(arguments.home))
    warnings.simplefilter("ignore", dg.BetaWarning)
    warnings.simplefilter("ignore", dg.PreviewWarning)
    from assets.automation.instance import prepare

    prepare()
    run_demo(arguments.num_pages, arguments.seed)
    from assets.automation.demo_run import demo_partitions
    from assets.support.summary import summary_lines

    print("\n".join(summary_lines(paths.home(), demo_partitions())))
    return 0


if __name__ == "__main__":
    run_command(main)
