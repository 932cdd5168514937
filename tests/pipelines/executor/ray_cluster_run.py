"""`python -m tests.pipelines.executor.ray_cluster_run FOLDER`: stages and deduplication over two Ray nodes, one of
which is killed in mid-stage, and by the local engine; prints the digests of both as JSON.

A process of its own, since Ray leaves threads and servers behind.
"""

import functools
import json
import os
import sys
import time
from pathlib import Path

from lm.errors import InputError
from pipelines.dedup.corpus import DeduplicationConfig, deduplicate_partitions
from pipelines.executor.partitions import run_partitions
from pipelines.filters.heuristics import HeuristicFilter
from pipelines.filters.run import run_stage_partitions
from tests.pipelines.published import publish_documents

NUM_PARTITIONS = 4


def texts(partition):
    """Documents of which some return in the next partition, word for word or nearly so."""
    found = []
    for i in range(60):
        number = "".join(chr(97 + int(digit)) for digit in str((partition + (partition + i) % 2) * 1_000 + i))
        words = [f"the {word} of {number}" for word in ("river", "boat", "town", "school", "market", "bridge")]
        sentence = f"In the year {number} they came with {number} boats, and it was said that " + ", ".join(words) + "."
        found.append(
            " ".join(
                [sentence, sentence.replace("boats", "horses"), f"Told by {'them ' * (partition * (i % 3))}again."]
            )
        )
    return found


def slowly(delay_s, job):
    """A job that takes a while, so that the node dies in its middle."""
    time.sleep(delay_s)
    return job * job


def fails(job):
    """A job that ends in an error of the user's."""
    raise InputError(f"file {job}: not there")


def run(sources, folder, report=None):
    """One stage over all partitions, then the corpus step."""
    targets = {key: folder / "stage" / key for key in sources}
    judged = run_stage_partitions(HeuristicFilter(overrides={"min_words": None}), sources, targets, report=report)
    corpus = deduplicate_partitions(judged, folder / "corpus", DeduplicationConfig(), report=report)
    return [artifact.digest for artifact in (*judged.values(), corpus)], corpus.summary


def add_node(cluster, attempts=4):
    """A second node; Ray gives each only half a minute to start."""
    for attempt in range(attempts):
        try:
            return cluster.add_node(num_cpus=1)
        except Exception:
            if attempt + 1 == attempts:
                raise
    return None


def main(folder):
    sources = {
        f"p{number}": publish_documents(folder / "in" / str(number), texts(number), first=100 * number)
        for number in range(NUM_PARTITIONS)
    }
    local, summary = run(sources, folder / "local")

    # A busy machine is slow to answer; only the node that is killed counts as dead.
    os.environ |= {"RAY_health_check_timeout_ms": "60000"}
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = add_node(cluster)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    os.environ["LOAM_ENGINE"] = "ray"
    events = []

    def kill_once(event):
        events.append(event["partition"])
        if len(events) == 2:
            cluster.remove_node(second, allow_graceful=False)

    squares = run_partitions(functools.partial(slowly, 0.5), {str(i): i for i in range(8)}, report=kill_once)
    second = add_node(cluster)
    events.clear()
    distributed, _ = run(sources, folder / "ray", report=kill_once)
    try:
        run_partitions(fails, {"a": 7})
        refused = ""
    except InputError as error:
        refused = str(error)
    ray.shutdown()
    cluster.shutdown()
    told = {"local": local, "ray": distributed, "squares": squares, "refused": refused, "summary": dict(summary)}
    print("RESULT " + json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
