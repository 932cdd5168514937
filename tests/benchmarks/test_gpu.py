"""The command that measures a GPU: its file after every row, its limits of time, and parts that fail."""

import json
import os
import subprocess
import sys
import time

from benchmarks import gpu
from benchmarks.report import Row

PRINT_ROW = "import json; print('ROW ' + json.dumps({'name': 'first', 'value': 1.0, 'unit': 's'}), flush=True)"

ABSENT = (
    *("dagster", "dagster_pipes", "datasketch", "fasttext", "fastwarc", "isal", "moto", "phonenumbers", "pycld2"),
    *("resiliparse", "transformers", "upath", "zlib_ng", "zstandard"),
)
LOAD_PARTS = """
from benchmarks.gpu import PARTS, part_rows
for part in PARTS[1:]:
    rows = part_rows(part.name, toy=True)
    if part.name == "training":
        trained = list(rows)
print(trained[0].name)
"""


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


def test_a_machine_with_the_packages_of_lm_alone(tmp_path):
    """Every part loads, every GPU test is found and a model trains without the packages of the other rooms."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({ABSENT}))\n")
    path = os.pathsep.join([str(tmp_path), str(gpu.ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    commands = (
        ["-c", f"import {ABSENT[0]}"],
        ["-c", LOAD_PARTS],
        [*gpu._PYTEST, "--collect-only", "tests/lm"],
    )
    found = [
        subprocess.run(
            [sys.executable, *command], cwd=gpu.ROOT, env=environment, capture_output=True, text=True, check=False
        )
        for command in commands
    ]
    assert "ModuleNotFoundError" in found[0].stderr  # the packages are really out of reach
    assert [run.returncode for run in found[1:]] == [0, 0], found[1].stdout + found[1].stderr + found[2].stdout
    assert found[1].stdout.splitlines()[-1] == "GPU training, toy"
    assert int(gpu._COUNTS.findall(found[2].stdout)[-1][0]) > 100
