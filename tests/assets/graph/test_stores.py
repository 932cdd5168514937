"""The assets with their home and their WARC files in an object store."""

import shutil

import dagster as dg
import pytest

from assets.support.resources import LoamHome
from lm.locations import cache_folder, locate
from pipelines.documents.view import read_table
from pipelines.trace.trace import trace
from tests.assets.runs import TINY, materialize
from tests.stores import SECRET

PARTITION = "demo/g0000"
STAGES = (
    "raw_documents",
    "language_documents",
    "prose_documents",
    "varied_documents",
    "harmless_documents",
    "quality_documents",
    "masked_documents",
)


def first_url(home):
    table = read_table(home.artifact("masked_documents", PARTITION), ["url"])
    return table.column("url")[0].as_py()


@pytest.mark.slow
@pytest.mark.fault(36)
def test_curation_and_training_in_a_store_give_what_a_disk_gives(s3, cache, tiny_run, tiny_home):
    bucket = s3.bucket()
    home, disk = LoamHome(path=f"{bucket}/home"), LoamHome(path=str(tiny_home))
    store = locate(bucket).fs
    for name in ("harm_classifiers", "quality_classifier", "demo_crawl"):
        folder = disk.target(name)
        for file in (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"):
            place = home.target(name) / file.relative_to(folder).as_posix()
            store.put_file(str(file), place.path)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("warc_groups", [PARTITION])
        assert materialize(instance, home.path, ["warc_files"], PARTITION).success
        shutil.rmtree(cache_folder())  # what follows may run on another machine
        same = {name: TINY[name] for name in STAGES if name in TINY}
        assert materialize(instance, home.path, STAGES, PARTITION, same).success
        for name in STAGES:
            assert home.artifact(name, PARTITION).digest == disk.artifact(name, PARTITION).digest, name
        assert materialize(instance, home.path, ["unique_documents"]).success
        log = [str(record) for run in instance.get_runs() for record in instance.all_logs(run.run_id)]
    (document,) = trace(first_url(home), home.root)
    assert [passage.outcome for passage in document.passages][:7] == ["kept"] * 7
    assert log
    assert SECRET not in "".join(log)
    contents = [store.cat_file(name) for name in store.find(f"{bucket}/home") if name.endswith(".json")]
    assert contents
    assert all(SECRET.encode() not in content for content in contents)


@pytest.mark.slow
def test_training_keeps_its_work_on_this_machine_and_publishes_to_the_store(s3, cache, tiny_run, tiny_home):
    bucket = s3.bucket()
    home, disk = LoamHome(path=f"{bucket}/home"), LoamHome(path=str(tiny_home))
    store = locate(bucket).fs
    for name in ("tokenizer", "token_shards", "training_mixture"):
        folder = disk.target(name)
        for file in (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"):
            store.put_file(str(file), (home.target(name) / file.relative_to(folder).as_posix()).path)
    config = {"pretrained_model": TINY["pretrained_model"]}
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialize(instance, home.path, ["pretrained_model"], config=config).success
    assert home.artifact("pretrained_model").digest == disk.artifact("pretrained_model").digest
    assert [path for path in (cache / "work").glob("pretrained_model-*.work") if path.is_dir()]
    assert not [name for name in store.find(f"{bucket}/home") if ".work" in name]
