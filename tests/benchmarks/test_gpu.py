"""The command that measures a GPU: its file after every row, its limits of time, and parts that fail."""

import json
import time

from benchmarks import gpu
from benchmarks.report import Row

PRINT_ROW = "import json; print('ROW ' + json.dumps({'name': 'first', 'value': 1.0, 'unit': 's'}), flush=True)"


def written(target):
    return [row["name"] for row in json.loads(target.read_text())["rows"]]


def test_the_file_holds_every_row_so_far(tmp_path):
    target = tmp_path / "folder" / "gpu.json"
    report = gpu.Report(target, toy=True)
    for index in range(3):
        report.add(Row(name=f"row {index}", value=None, unit="s"))
        assert written(target) == [f"row {number}" for number in range(index + 1)]
    assert json.loads(target.read_text())["dry_run"] is True


def test_a_part_that_takes_too_long_is_stopped_and_keeps_its_rows(tmp_path):
    report = gpu.Report(tmp_path / "gpu.json")
    command = ["-c", f"{PRINT_ROW}; import time; time.sleep(60)"]
    started = time.monotonic()
    assert not gpu._part(report, "slow", command, started + 5, toy=True)
    assert time.monotonic() - started < 50
    assert written(tmp_path / "gpu.json") == ["first", "slow: stopped at its share of the time"]


def test_a_part_that_breaks_keeps_its_rows_and_fails_the_run(tmp_path):
    report = gpu.Report(tmp_path / "gpu.json")
    command = ["-c", f"{PRINT_ROW}; raise SystemExit(7)"]
    assert gpu._part(report, "broken", command, time.monotonic() + 60, toy=True)
    assert [(row.name, row.value) for row in report.rows] == [("first", 1.0), ("broken: ended early", 7)]


def test_every_part_has_rows_at_a_toy_size():
    """Those that need no interpreter are made here; `--dry-run` makes all."""
    for part in ("memory", "precision", "training", "decoding"):
        rows = list(gpu.part_rows(part, toy=True))
        assert any(row.value is not None for row in rows), part
