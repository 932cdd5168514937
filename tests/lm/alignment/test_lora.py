"""Adapters: they start as nothing, train alone, merge exactly, and reach the published model."""

import pytest
import torch

pytest.importorskip("lm.tokenizer")

from lm.alignment.config import SFTConfig
from lm.alignment.lora import adapter_tensors, add_adapters, merge_adapters
from lm.alignment.sft import train_sft
from lm.errors import ConfigurationError
from lm.model import TransformerLM, load_model, preset
from lm.model.files import load_tensors
from lm.storage import open_artifact
from tests.lm.alignment.test_stages import FILES, SMALL, evaluation, places
from tests.lm.model.variants import VARIANTS


def adapted(switches=None, rank=2):
    torch.manual_seed(0)
    model = TransformerLM(preset("test", **(switches or {})))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    add_adapters(model, rank=rank, alpha=4.0, seed=1)
    return model, before


@pytest.mark.parametrize("switches", VARIANTS.values(), ids=VARIANTS.keys())
def test_only_adapters_learn_and_merging_changes_no_result(switches):
    model, before = adapted(switches)
    ids = torch.randint(model.config.vocab_size, (2, 9))
    plain = TransformerLM(preset("test", **switches))
    plain.load_state_dict(before)
    torch.testing.assert_close(model(ids), plain(ids), rtol=0, atol=0)
    trained = [name for name, each in model.named_parameters() if each.requires_grad]
    assert trained and all(name.endswith((".0.a", ".0.b")) for name in trained)
    (model(ids).square().mean() + model.auxiliary_loss()).backward()
    assert all(each.grad is None for name, each in model.named_parameters() if name not in trained)
    with torch.no_grad():
        for each in model.parameters():
            if each.requires_grad:
                each.add_(0.1 * torch.randn_like(each))
    adapters, found = adapter_tensors(model), model(ids)
    assert len(adapters) == len(trained) and not torch.allclose(found, plain(ids))
    merge_adapters(model)
    assert model.state_dict().keys() == before.keys() and all(each.requires_grad for each in model.parameters())
    torch.testing.assert_close(model(ids), found, rtol=1e-5, atol=1e-5)
    for name, value in model.state_dict().items():
        lora = f"base_model.model.{name.removesuffix('.weight')}.lora_"
        moved = (
            2.0 * adapters[f"{lora}B.weight"] @ adapters[f"{lora}A.weight"] if f"{lora}A.weight" in adapters else 0.0
        )
        torch.testing.assert_close(value, before[name] + moved, rtol=0, atol=1e-6)


def test_an_impossible_rank_or_optimizer_is_named():
    with pytest.raises(ConfigurationError, match="lora_rank: 1000, expected at most"):
        adapted(rank=1_000)
    with pytest.raises(ConfigurationError, match="optimizer: muon with lora_rank"):
        SFTConfig(lora_rank=2)


def test_sft_learns_by_adapters_and_publishes_the_merged_model(start, tmp_path):
    config = SFTConfig(num_steps=40, batch_size=16, learning_rate=2e-2, lora_rank=8, neftune_alpha=1.0, **SMALL)
    artifact = train_sft(config, **places(start, tmp_path / "sft"), instructions=start / "instructions.jsonl")
    assert set(artifact.names()) == FILES | {"adapter.safetensors"}
    losses = evaluation(artifact)["loss"]
    assert losses["after"] < 0.6 * losses["before"]
    adapters = load_tensors(artifact.file("adapter.safetensors"))
    before, after = (load_model(each)[0].state_dict() for each in (open_artifact(start / "model"), artifact))
    assert after.keys() == before.keys()
    for name in before:
        lora = f"base_model.model.{name.removesuffix('.weight')}.lora_"
        if f"{lora}A.weight" in adapters:
            product = adapters[f"{lora}B.weight"] @ adapters[f"{lora}A.weight"]
            torch.testing.assert_close(after[name], before[name] + 2.0 * product, rtol=1e-5, atol=1e-5)
        else:
            assert torch.equal(after[name], before[name])
