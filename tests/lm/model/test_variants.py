"""What must hold whatever the switches: for every model of `variants.VARIANTS`."""

import math

import pytest
import torch

from lm.inference.kv_cache import KVCache
from lm.model import MixtureOfExperts, TransformerLM, load_model, preset, save_model
from lm.training.recomputation import recompute
from tests.lm.model.variants import VARIANTS

every_variant = pytest.mark.parametrize("switches", VARIANTS.values(), ids=VARIANTS)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@every_variant
def test_fast_and_written_out_attention_agree(switches):
    fast, plain = (TransformerLM(preset("test", attention=path, **switches)) for path in ("fused", "reference"))
    plain.load_state_dict(fast.state_dict())
    ids, documents = torch.randint(128, (2, 32)), torch.arange(32).div(10, rounding_mode="floor").expand(2, 32)
    for arguments in ({}, {"document_ids": documents}):
        torch.testing.assert_close(fast(ids, **arguments), plain(ids, **arguments), rtol=1e-4, atol=1e-5)


@every_variant
def test_no_token_sees_the_future_or_another_document(switches):
    model = TransformerLM(preset("test", **switches))
    ids, documents = torch.randint(128, (1, 32)), torch.tensor([[7] * 13 + [3] * 19])
    with torch.no_grad():
        packed, whole = model(ids, document_ids=documents), model(ids)
        torch.testing.assert_close(model(ids[:, :13]), whole[:, :13], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(packed[:, :13], whole[:, :13], rtol=1e-4, atol=1e-5)
        alone = model(ids[:, 13:], positions=torch.arange(13, 32))
        torch.testing.assert_close(packed[:, 13:], alone, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(packed[:, 13:], whole[:, 13:], atol=1e-3)


@every_variant
@pytest.mark.parametrize("pieces", [[1] * 12, [5, 1, 6]])
def test_reading_in_pieces_gives_the_logits_of_the_whole(switches, pieces):
    model = TransformerLM(preset("test", **switches))
    ids, rows = torch.randint(128, (3, 12)), torch.tensor([2, 0, 2])
    with torch.no_grad():
        cache = KVCache(model.config, batch=3, capacity=13)
        parts = [model(part, kv_cache=cache) for part in ids.split(pieces, dim=1)]
        torch.testing.assert_close(torch.cat(parts, dim=1), model(ids), rtol=1e-4, atol=1e-5)
        following = torch.randint(128, (3, 1))
        whole = model(torch.cat([ids[rows], following], dim=1))[:, -1:]
        torch.testing.assert_close(model(following, kv_cache=cache.select(rows)), whole, rtol=1e-4, atol=1e-5)


@every_variant
def test_first_loss_is_that_of_guessing(switches):
    config = preset("tiny_cpu", **{"num_kv_heads": 2, **switches, "d_head": 32, "d_ff": 192})
    ids = torch.randint(config.vocab_size, (2, 65))
    with torch.no_grad():
        logits = TransformerLM(config)(ids[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(config.vocab_size), rel=0.02)


@every_variant
def test_one_batch_is_learned_by_heart(switches):
    model = TransformerLM(preset("test", **{**switches, "base_width": 0}))
    ids = torch.randperm(128)[:34].view(2, 17)  # two rows that began alike could not both be foretold
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(300):
        loss = torch.nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        if loss.item() < 0.01:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    raise AssertionError(f"loss {loss.item()} after 300 steps")


@every_variant
@pytest.mark.parametrize("strategy", ["blocks", "selective"])
def test_recomputed_layers_change_nothing(switches, strategy):
    model = TransformerLM(preset("test", **switches))
    ids, found = torch.randint(128, (2, 32)), []
    for chosen in ("none", strategy):
        recompute(model.layers, chosen)
        model.zero_grad()
        (model(ids).square().mean() + model.auxiliary_loss()).backward()
        mixtures = [module for module in model.modules() if isinstance(module, MixtureOfExperts)]
        found.append([*(p.grad for p in model.parameters()), *(mixture.load for mixture in mixtures)])
        for mixture in mixtures:
            mixture.reset_buffers()
    for plain, again in zip(*found, strict=True):
        assert torch.equal(plain, again)


@pytest.mark.slow
def test_the_compiler_takes_a_model_without_experts_in_one_piece():
    model = TransformerLM(preset("test", layer_pattern=("window", "ssm"), window=8, qk_norm=True, logit_soft_cap=9.0))
    ids, documents = torch.randint(128, (2, 32)), torch.arange(32).div(10, rounding_mode="floor").expand(2, 32)
    compiled = torch.compile(model.forward, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(ids, document_ids=documents), model(ids, document_ids=documents))


@every_variant
def test_a_saved_model_is_the_same_model(switches, tmp_path):
    model = TransformerLM(preset("test", **switches))
    model(torch.randint(128, (2, 9))).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.balance_experts()
    save_model(tmp_path, model, "digest")
    loaded, _ = load_model(tmp_path)
    ids = torch.randint(128, (2, 9))
    assert loaded.config == model.config
    with torch.no_grad():
        assert torch.equal(loaded(ids), model(ids))
