import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from lm.training import cross_entropy, linear_cross_entropy, linear_losses


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_cross_entropy_equals_torchs():
    logits, targets = torch.randn(3, 5, 11), torch.randint(11, (3, 5))
    torch.testing.assert_close(cross_entropy(logits, targets), F.cross_entropy(logits.flatten(0, 1), targets.flatten()))


def test_masked_positions_count_nothing():
    logits, targets, mask = torch.randn(4, 6, 11), torch.randint(11, (4, 6)), torch.rand(4, 6) < 0.4
    expected = F.cross_entropy(logits[mask], targets[mask])
    torch.testing.assert_close(cross_entropy(logits, targets, mask), expected)
    assert cross_entropy(logits, targets, torch.zeros_like(mask)) == 0


def test_logits_of_a_thousand_do_no_harm():
    logits = torch.tensor([[1000.0, 0.0, -1000.0]])
    assert cross_entropy(logits, torch.tensor([0])) == 0
    assert cross_entropy(logits, torch.tensor([2])) == 2000


@pytest.mark.parametrize("num_tokens", [1, 256, 700])
def test_fused_output_layer_equals_the_plain_one(num_tokens):
    hidden = torch.randn(num_tokens, 16, requires_grad=True)
    weight = torch.randn(50, 16, requires_grad=True)
    targets = torch.randint(50, (num_tokens,))
    plain = F.cross_entropy(hidden @ weight.T, targets, reduction="sum") / 7
    expected = torch.autograd.grad(plain, [hidden, weight])
    fused = linear_cross_entropy(hidden, weight, targets) / 7
    actual = torch.autograd.grad(fused, [hidden, weight])
    torch.testing.assert_close(fused, plain)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("soft_cap", [0.0, 3.0])
@pytest.mark.parametrize("z_loss", [0.0, 0.01])
def test_fused_gradient_is_the_numerical_one(soft_cap, z_loss):
    hidden = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(6, (5,))

    def total(h, w):
        return linear_cross_entropy(h, w, targets, soft_cap=soft_cap, z_loss=z_loss)

    assert torch.autograd.gradcheck(total, (hidden, weight))


@pytest.mark.parametrize("soft_cap", [0.0, 3.0])
@pytest.mark.parametrize("z_loss", [0.0, 0.01])
def test_cap_and_z_loss_equal_the_formula(soft_cap, z_loss):
    hidden = torch.randn(300, 16, requires_grad=True)
    weight = torch.randn(50, 16, requires_grad=True)
    targets = torch.randint(50, (300,))
    logits = hidden @ weight.T
    logits = soft_cap * torch.tanh(logits / soft_cap) if soft_cap else logits
    nats = F.cross_entropy(logits, targets, reduction="sum")
    expected = nats + z_loss * logits.logsumexp(-1).square().sum()
    total, plain = linear_losses(hidden, weight, targets, soft_cap=soft_cap, z_loss=z_loss)
    torch.testing.assert_close([total, plain], [expected, nats])
    assert not plain.requires_grad
    actual = torch.autograd.grad(total / 7, [hidden, weight])
    torch.testing.assert_close(actual, torch.autograd.grad(expected / 7, [hidden, weight]), rtol=1e-4, atol=1e-5)


def test_no_token_has_no_loss():
    hidden, weight = torch.randn(0, 16, requires_grad=True), torch.randn(50, 16, requires_grad=True)
    total = linear_cross_entropy(hidden, weight, torch.empty(0, dtype=torch.long))
    total.backward()
    assert total == 0 and not weight.grad.any()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_where_no_gradient_is_wanted_none_is_made(mode):
    hidden, weight = torch.randn(300, 8), torch.nn.Parameter(torch.randn(50, 8))
    targets = torch.randint(50, (300,))
    expected = linear_cross_entropy(hidden, weight, targets)

    class Products(TorchDispatchMode):
        seen = ()

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.seen += (function.overloadpacket,)
            return function(*args, **(kwargs or {}))

    with mode(), Products() as products:
        assert torch.equal(linear_cross_entropy(hidden, weight, targets), expected)
    products = [function for function in products.seen if "mm" in str(function) or "matmul" in str(function)]
    assert len(products) == 2  # the logits of two chunks
