"""Speed of a step: measured only if every partition was made in this run."""

import pytest

from assets.support.resources import LoamHome
from assets.support.stage_metadata import digests, throughput
from lm import storage


def publish(home, group, content, **summary):
    target = home.target("language_documents", group)
    with storage.publish(target, kind="documents", config={}, inputs={}, code="") as publication:
        (publication.path / "x").write_text(content)
        publication.summary.update(summary)
    return publication.artifact


@pytest.fixture
def home(tmp_path):
    return LoamHome(path=str(tmp_path))


def test_the_speed_is_that_of_all_groups_together(home):
    made = {
        group: publish(home, group, group, num_in=num, text_bytes_in=size)
        for group, num, size in (("demo/g0000", 30, 2_000_000), ("demo/g0001", 10, 1_000_000))
    }
    found = throughput(made, 2.0, {})
    assert (found["documents_per_second"].value, found["megabytes_per_second"].value) == (20.0, 1.5)
    assert throughput(made, 2.0, {}, num_bytes=8_000_000)["megabytes_per_second"].value == 4.0


def test_what_was_whole_has_no_speed(home):
    groups = ["demo/g0000", "demo/g0001"]
    first = publish(home, groups[0], "a", num_in=1, text_bytes_in=1)
    before = digests(home, "language_documents", groups)
    assert before == {groups[0]: first.digest}  # the other is not there yet
    second = publish(home, groups[1], "b", num_in=1, text_bytes_in=1)
    assert throughput({groups[0]: first, groups[1]: second}, 1.0, before) == {}
    assert throughput({groups[1]: second}, 1.0, before) != {}
    changed = publish(home, groups[0], "c", num_in=1, text_bytes_in=1)
    assert throughput({groups[0]: changed}, 1.0, before) != {}
