"""The switch between kernels and references."""

import warnings
from pathlib import Path

import pytest
import torch

from lm.errors import ConfigurationError
from lm.kernels import backend
from lm.kernels.backend import KernelFallbackWarning, runs_kernel, use_kernels

KERNELS = Path(backend.__file__).parent


@pytest.fixture
def cuda_tensor(monkeypatch):
    """A tensor that claims to lie on a GPU."""
    monkeypatch.setattr(backend, "_HAS_TRITON", True)
    monkeypatch.setattr(backend, "_reported", set())

    class OnCuda:
        is_cuda, device = True, "cuda:0"

    return OnCuda()


def test_the_device_decides(cuda_tensor):
    with use_kernels("auto"):
        assert not runs_kernel("some", torch.ones(1))
        assert runs_kernel("some", cuda_tensor)
    with use_kernels("reference"):
        assert not runs_kernel("some", cuda_tensor)


def test_a_limit_is_reported_once_and_the_reference_runs(cuda_tensor):
    with use_kernels("auto"):
        with pytest.warns(KernelFallbackWarning, match="kernel some: width 7, expected 8; its reference runs instead"):
            assert not runs_kernel("some", cuda_tensor, "width 7, expected 8")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not runs_kernel("some", cuda_tensor, "width 7, expected 8")
        with pytest.warns(KernelFallbackWarning, match="other"):
            runs_kernel("other", cuda_tensor, "width 7, expected 8")


def test_without_triton_the_reference_runs(cuda_tensor, monkeypatch):
    monkeypatch.setattr(backend, "_HAS_TRITON", False)
    with use_kernels("auto"), pytest.warns(KernelFallbackWarning, match="triton is not installed"):
        assert not runs_kernel("some", cuda_tensor)


def test_a_demanded_kernel_is_refused_by_name(cuda_tensor, monkeypatch):
    monkeypatch.setattr(backend, "_INTERPRETED", False)
    with use_kernels("triton"):
        with pytest.raises(ConfigurationError, match="kernel some: width 7, expected 8"):
            runs_kernel("some", cuda_tensor, "width 7, expected 8")
        with pytest.raises(ConfigurationError, match="kernel some: a tensor on cpu, expected a CUDA device"):
            runs_kernel("some", torch.ones(1))


def test_unknown_names_are_refused(cuda_tensor, monkeypatch):
    with (
        pytest.raises(ConfigurationError, match="use_kernels: 'cuda', expected auto, triton or reference"),
        use_kernels("cuda"),
    ):
        pass
    monkeypatch.setattr(backend, "_backend", "fast")
    with pytest.raises(ConfigurationError, match="LOAM_KERNELS: 'fast'"):
        runs_kernel("some", cuda_tensor)


@pytest.mark.parametrize("path", sorted(KERNELS.glob("*.py")), ids=lambda path: path.stem)
def test_every_kernel_is_an_operator_with_a_fake(path):
    """So that the compiler traces past it; opcheck in each kernel's own tests runs the fakes."""
    text = path.read_text(encoding="utf-8")
    launches = "lm.kernels.triton import" in text or "@triton.jit" in text
    num_operators, num_fakes = text.count("@torch.library.custom_op("), text.count(".register_fake\n")
    assert num_operators == num_fakes
    assert launches == (num_operators > 0)
