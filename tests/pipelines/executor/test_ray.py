"""The Ray executor: the same bytes as the local one, also when a node dies."""

import json
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.fault(38)
def test_two_nodes_give_the_same_bytes_though_one_is_killed(tmp_path):
    pytest.importorskip("ray")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.pipelines.executor.ray_cluster_run", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=840,
    )
    line = next((each for each in run.stdout.splitlines() if each.startswith("RESULT ")), None)
    assert line is not None, run.stderr[-3000:]
    told = json.loads(line.removeprefix("RESULT "))
    assert told["squares"] == {str(i): i * i for i in range(8)}
    assert told["ray"] == told["local"]
    assert told["summary"]["removed_by_rule"]["near_duplicate"] > 20 and told["summary"]["num_kept"] > 100
    assert told["refused"] == "file 7: not there"
