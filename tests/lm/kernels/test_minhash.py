"""The MinHash kernel: interpreted against its reference, compiled ahead of time for sm_90, and run where a GPU is.

Triton interprets or compiles as the environment says when it is imported, so both happen in child processes.
"""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("triton")

from lm.errors import ConfigurationError
from lm.kernels import minhash

ROOT = Path(__file__).resolve().parents[3]
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


def in_child(code, **environment):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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


def test_interpreted_kernel_gives_the_same_bits():
    """Fewer permutations than a block, a whole block, and more."""
    code = "from tests.lm.kernels.test_minhash import check\nfor count in (5, 128, 130): check(count)"
    in_child(code, TRITON_INTERPRET="1")


def test_compiled_for_sm_90_it_spills_nothing():
    code = "import json\nfrom lm.kernels.minhash import resources\nprint(json.dumps(resources()))"
    usage = json.loads(in_child(code, TRITON_INTERPRET="0"))
    assert usage["local_bytes"] == 0 and usage["stack_bytes"] == 0 and usage["registers"] <= 64


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("num_permutations", [5, 112, 128, 130, 9000])
def test_kernel_on_a_gpu(num_permutations):
    check(num_permutations, "cuda")


def test_no_cuda_device_is_told(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    some = np.zeros(1, np.uint32)
    with pytest.raises(ConfigurationError, match="minhash device 'cuda': torch finds no CUDA device"):
        minhash.sign_arrays(some, np.array([0, 1]), some, some)
