"""muP: the coordinate check of Yang et al. 2022 (appendix D.1)."""

import pytest
import torch

from lm.model import TransformerLM, preset
from lm.training.parameter_groups import make_parameter_groups, set_learning_rate

WIDTHS = (128, 256, 512)


def movement(width, base_width, ffn):
    """By how much the logits of the same tokens have moved after a few steps of Adam (root mean square)."""
    torch.manual_seed(1)
    config = preset(
        "test", d_model=width, num_heads=width // 16, num_kv_heads=0, d_ff=2 * width, base_width=base_width, ffn=ffn
    )
    model = TransformerLM(config)
    groups = make_parameter_groups(model, 0.0, width_ratio=width / base_width if base_width else 1.0)
    optimizer = torch.optim.Adam(groups)
    set_learning_rate(optimizer, 0.01)
    ids = torch.randint(128, (4, 33), generator=torch.Generator().manual_seed(0))
    first = model(ids[:, :-1]).detach()
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (model(ids[:, :-1]).detach() - first).square().mean().sqrt().item()


@pytest.mark.parametrize("ffn", ["swiglu", "relu2"])
def test_how_far_logits_move_does_not_grow_with_the_width(ffn):
    scaled = [movement(width, 64, ffn) for width in WIDTHS]
    plain = [movement(width, 0, ffn) for width in WIDTHS]
    # With muP they settle as the width grows, without it they move further and further.
    assert 0.7 < scaled[-1] / scaled[0] < 1.4 and abs(scaled[2] - scaled[1]) < abs(scaled[1] - scaled[0]), scaled
    assert plain[-1] / plain[0] > 1.6, plain


def test_at_the_base_width_nothing_changes():
    ids, logits = torch.arange(20)[None], []
    for base_width in (0, 32):
        torch.manual_seed(0)
        model = TransformerLM(preset("test", base_width=base_width))
        logits.append(model(ids))
    assert torch.equal(*logits)


def test_the_output_layer_starts_as_at_the_base_width():
    torch.manual_seed(0)
    for width in (64, 512):
        weight = TransformerLM(preset("test", d_model=width, base_width=64)).lm_head.weight
        assert weight.std().item() == pytest.approx(0.9866 * (2 / (64 + 128)) ** 0.5, rel=0.03)


def test_only_matrices_between_widths_learn_slower():
    config = preset("test", base_width=8, layer_pattern=("ssm", "full"), qk_norm=True)
    model = TransformerLM(config)
    groups = make_parameter_groups(model, 0.0, width_ratio=4.0)
    slow = {id(p) for group in groups if group["lr_scale"] == 0.25 for p in group["params"]}
    assert {group["lr_scale"] for group in groups} == {0.25, 1.0}
    assert {name.split(".", 2)[2] for name, p in model.named_parameters() if id(p) in slow} == {
        "ssm.in_proj.weight", "ssm.output_proj.weight", "attn.q_proj.weight", "attn.k_proj.weight",
        "attn.v_proj.weight", "attn.output_proj.weight", "ffn.w1.weight", "ffn.w2.weight", "ffn.w3.weight",
    }  # fmt: skip
