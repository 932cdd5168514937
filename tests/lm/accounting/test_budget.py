import dataclasses

import pytest

from lm.accounting import count_parameters, device_named, training_flops_per_token
from lm.accounting.budget import budget, duration, facts, readable, shares_by_context
from lm.accounting.throughput import measured_cpu, seconds_for
from lm.model import ModelConfig, preset

DAY = 86_400
XL = ModelConfig(vocab_size=50_257, context_length=1_024, d_model=1_600, num_layers=48, num_heads=25, d_ff=6_400)


def test_known_answer_70_billion_parameters_on_1024_gpus():
    seconds = seconds_for(6 * 70e9 * 15e12, device_named("h100").peak("bfloat16"), 0.5, num_devices=1_024)
    assert device_named("h100").peak("bfloat16") == 1_979e12 / 2
    assert seconds / DAY == pytest.approx(143.9, abs=0.05)


def test_known_answer_gpt2_xl_on_one_a100_in_float32():
    tokens = 400_000 * 1_024 * XL.context_length
    flops = tokens * training_flops_per_token(XL, convention="square")
    assert seconds_for(flops, device_named("a100").peak("float32"), 0.5) / DAY == pytest.approx(6_584, abs=1)


def test_a_budget_adds_up():
    config, device = preset("gpt2_124m"), device_named("h100")
    one = budget(config, device, num_tokens=1e9)
    eight = dataclasses.replace(one, num_devices=8, seconds=one.seconds / 8)
    assert budget(config, device, num_tokens=1e9, num_devices=8) == eight
    assert one.flops == 1e9 * training_flops_per_token(config) < one.flops_square
    assert one.fits and one.microbatch_size == one.largest_microbatch
    assert not budget(config, device, num_tokens=1e9, microbatch_size=one.largest_microbatch + 1).fits
    recomputed = budget(config, device, num_tokens=1e9, recompute="blocks")
    assert recomputed.largest_microbatch > 2 * one.largest_microbatch
    assert recomputed.flops == one.flops and recomputed.training.total > 1.15 * one.training.total


def test_the_page_names_what_does_not_fit():
    config = preset("llama_3b")
    found = budget(config, device_named("h100"), num_tokens=1e12, num_devices=8, dollars_an_hour=2.0)
    text = readable("llama_3b", found)
    assert f"{count_parameters(config).total:,}" in text and "$" in text and "DOES NOT FIT" not in text
    crowded = budget(config, device_named("h100"), num_tokens=1e12, microbatch_size=64)
    assert "DOES NOT FIT" in readable("llama_3b", crowded)
    assert facts(found)["seconds"] == found.seconds


def test_attention_takes_over_as_the_context_grows():
    rows = shares_by_context(XL, (1_024, 4_096, 16_384, 65_536))
    attention = [row["attention"] for row in rows]
    assert attention == sorted(attention) and attention[-1] > 0.5
    for row in rows:
        assert sum(row.values()) - row["context"] == pytest.approx(1)


def test_this_machine_is_a_device():
    cpu = measured_cpu()
    assert cpu.peak("float32") > 1e8 and cpu.memory_bytes > 1e8 and cpu.memory_bytes_per_s > 1e7
    assert budget(preset("tiny_cpu"), cpu, num_tokens=1e6, precision="float32").seconds > 0


@pytest.mark.parametrize(("seconds", "text"), [(30, "30.0 seconds"), (600, "10.0 minutes"), (86_400 * 3, "3.0 days")])
def test_durations_are_read_easily(seconds, text):
    assert duration(seconds) == text
