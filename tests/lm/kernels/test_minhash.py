"""The MinHash kernel against its reference, and the reference against the definition."""

import itertools

import numpy as np
import pytest
import torch

pytest.importorskip("triton")

from lm.errors import ConfigurationError
from lm.kernels import minhash

LENGTHS = (0, 1, 2, 31, 32, 33, 0, minhash.SEGMENT - 1, minhash.SEGMENT, 2 * minhash.SEGMENT + 5, 0)


def inputs(num_permutations, device="cpu"):
    generator = torch.Generator().manual_seed(num_permutations)
    offsets = torch.tensor([0, *LENGTHS]).cumsum(0)

    def bits(count):
        return torch.randint(-(2**31), 2**31, (count,), generator=generator).to(torch.int32).to(device)

    return bits(int(offsets[-1])), offsets.to(device), bits(num_permutations) | 1, bits(num_permutations)


def check(num_permutations, device="cpu"):
    found = minhash.minhash_signatures(*inputs(num_permutations, device))
    assert torch.equal(found.cpu(), minhash.minhash_signatures_reference(*inputs(num_permutations)))


def test_reference_is_the_definition():
    hashes, offsets, multipliers, increments = (tensor.tolist() for tensor in inputs(3))
    expected = [
        [
            min(((a * x + b) % 2**32 for x in hashes[start:end]), default=2**32 - 1)
            for a, b in zip(multipliers, increments, strict=True)
        ]
        for start, end in itertools.pairwise(offsets)
    ]
    found = minhash.minhash_signatures_reference(*inputs(3)).long() % 2**32
    assert found.tolist() == expected


@pytest.mark.parametrize("num_permutations", [5, 128, 130])
def test_kernel_gives_the_same_bits(device, num_permutations):
    """Fewer permutations than a block, a whole block, and more."""
    check(num_permutations, device)


def test_survives_the_compiler(device):
    torch.library.opcheck(torch.ops.loam.minhash.default, inputs(5, device))


def test_no_cuda_device_is_told(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    some = np.zeros(1, np.uint32)
    with pytest.raises(ConfigurationError, match="minhash device 'cuda': torch finds no CUDA device"):
        minhash.sign_arrays(some, np.array([0, 1]), some, some)
