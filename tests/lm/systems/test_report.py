"""The systems report: what its check refuses, its page, and figures held to bounds that no machine can break."""

import pytest
import torch

from lm.systems.config import SystemsConfig
from lm.systems.report import faults, measured, page, write_systems_report

STATE = "optimizer's state"


def row(section, name, value):
    return {"section": section, "name": name, "value": value, "unit": "MB per rank", "beside": ""}


def rows(zero1=50.0, fsdp=50.0, copy=10.0):
    state = {"no synchronization": 100.0, "zero1": zero1, "fsdp": fsdp}
    return [row("machine", "copy", copy), *(row(STATE, name, value) for name, value in state.items())]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, None),
        ({"zero1": 100.0}, "zero1"),
        ({"fsdp": 90.0}, "fsdp"),
        ({"copy": 0.0}, "copy"),
        ({"copy": float("nan")}, "copy"),
        ({"copy": float("inf")}, "copy"),
        ({"copy": -1.0}, "copy"),
    ],
)
def test_what_cannot_be_is_named(changes, named):
    found = faults(rows(**changes), num_ranks=2)
    assert len(found) == (named is not None)
    assert named is None or named in found[0]


def test_page_has_a_table_for_each_section():
    text = page({"device": "here", "threads": 2}, rows())
    assert text.startswith("# Systems report\n\ndevice here, threads 2\n")
    assert "## Machine" in text and "## Optimizer's state" in text and "| zero1 | 50 | MB per rank |" in text


@pytest.mark.usefixtures("one_thread")
def test_figures_of_one_process():
    config = SystemsConfig(num_rows=32, width=48, contexts=(16, 24), d_head=8, num_ranks=1, seconds=0.001)
    found = list(measured(config, torch.device("cpu")))
    assert not faults(found, 1)
    assert {each["section"] for each in found} == {"machine", "kernels", "attention"}
    assert [each["context"] for each in found if each.get("curve") == "torch"] == [16, 24]
    product = next(each["value"] for each in found if each["name"].startswith("product"))
    assert all(each["value"] < 3 * product for each in found if each["section"] == "attention")


@pytest.mark.usefixtures("one_thread")
def test_a_report_measures_anew(tmp_path):
    config = SystemsConfig(num_rows=16, width=16, contexts=(8,), d_head=8, num_ranks=1, seconds=0.001, device="cpu")
    events = []
    first = write_systems_report(config, output=tmp_path / "report", report=events.append)
    second = write_systems_report(config, output=tmp_path / "report", report=events.append)
    assert first.digest != second.digest and first.config == second.config
    assert len(events) == 2 * first.summary["num_rows"]
