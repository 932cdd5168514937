"""MinHash on a GPU: the least value of every permutation over each document's shingles.

    signatures[d, j] = min over the hashes x of document d of (multipliers[j] * x + increments[j]) mod 2**32

Decisions:
- One program takes one segment, up to `SEGMENT` hashes of one document, and a block of permutations. It keeps a block
  of running minima in registers and meets the other segments of its document in an atomic minimum. A minimum does not
  depend on the order: the signatures are the same bits in every run, and those of `pipelines.dedup.minhash` on a CPU.
- uint32 travels as int32 of the same bits, since PyTorch knows few operations on uint32.
- The tile is fixed: its [`BLOCK_HASHES`, `BLOCK_PERMUTATIONS`] minima take 32 registers a thread. Compiled for sm_90
  the kernel has 56 registers, no spills and no shared memory; its speed on a GPU is not measured.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
import torch
import triton
import triton.language as tl
from jaxtyping import Int
from torch import Tensor

from lm.errors import ConfigurationError

SEGMENT = 4096
BLOCK_HASHES = 32
BLOCK_PERMUTATIONS = 128
NUM_WARPS = 4
_ALL_ONES = -1  # 2**32 - 1 as int32: what a document without a hash is signed with


def sign_arrays(
    hashes: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    multipliers: npt.NDArray[np.uint32],
    increments: npt.NDArray[np.uint32],
) -> npt.NDArray[np.uint32]:
    """Return `minhash_signatures` of NumPy arrays, on the CUDA device (in Triton's interpreter on the CPU).

    Raises:
        ConfigurationError: there is no CUDA device.
    """
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if not interpreted and not torch.cuda.is_available():
        raise ConfigurationError("minhash device 'cuda': torch finds no CUDA device here; expected one, or 'cpu'")
    device = "cpu" if interpreted else "cuda"
    bits = [torch.from_numpy(array.view(np.int32)).to(device) for array in (hashes, multipliers, increments)]
    found = minhash_signatures(bits[0], torch.from_numpy(offsets).to(device), bits[1], bits[2])
    return found.cpu().numpy().view(np.uint32)


def minhash_signatures(
    hashes: Int[Tensor, " shingles"],
    offsets: Int[Tensor, " bounds"],
    multipliers: Int[Tensor, " permutations"],
    increments: Int[Tensor, " permutations"],
) -> Int[Tensor, "docs permutations"]:
    """Sign documents `hashes[offsets[d]:offsets[d + 1]]`; all tensors int32 (the bits of uint32) but `offsets` int64.

    A document without a hash gets 2**32 - 1 everywhere. Runs where `hashes` lie: a CUDA device, or anywhere in
    Triton's interpreter.
    """
    found: Tensor = torch.ops.loam.minhash(hashes, offsets, multipliers, increments)
    return found


@torch.library.custom_op(
    "loam::minhash",
    mutates_args=(),
    schema="(Tensor hashes, Tensor offsets, Tensor multipliers, Tensor increments) -> Tensor",
)
def _signed(hashes: Tensor, offsets: Tensor, multipliers: Tensor, increments: Tensor) -> Tensor:
    signatures = torch.full(
        (offsets.numel() - 1, multipliers.numel()), _ALL_ONES, dtype=torch.int32, device=hashes.device
    )
    documents, starts, ends = _segments(offsets)
    if documents.numel():
        launch(hashes, (documents, starts, ends), multipliers, increments, signatures)
    return signatures


@_signed.register_fake
def _signed_fake(hashes: Tensor, offsets: Tensor, multipliers: Tensor, increments: Tensor) -> Tensor:
    return hashes.new_empty((offsets.numel() - 1, multipliers.numel()), dtype=torch.int32)


def minhash_signatures_reference(
    hashes: Int[Tensor, " shingles"],
    offsets: Int[Tensor, " bounds"],
    multipliers: Int[Tensor, " permutations"],
    increments: Int[Tensor, " permutations"],
) -> Int[Tensor, "docs permutations"]:
    """Return `minhash_signatures` in plain PyTorch, one document at a time, in int64."""
    mask = 2**32 - 1
    a, b = multipliers.long() & mask, increments.long() & mask
    rows = []
    for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        x = hashes[start:end].long() & mask
        # The product is taken in halves: of two 32-bit numbers it would leave int64.
        product = ((a & 0xFFFF) * x[:, None] + (((a >> 16) * x[:, None]) % 2**16) * 2**16) & mask
        least = ((product + b) & mask).amin(0) if end > start else torch.full_like(a, mask)
        rows.append(torch.where(least >= 2**31, least - 2**32, least).int())
    return torch.stack(rows) if rows else hashes.new_empty((0, a.numel()), dtype=torch.int32)


def launch(
    hashes: Tensor, segments: tuple[Tensor, Tensor, Tensor], multipliers: Tensor, increments: Tensor, signatures: Tensor
) -> None:
    """Lower `signatures` to the minima over the segments; see `minhash_signatures`."""
    num_permutations = multipliers.numel()
    grid = (segments[0].numel(), triton.cdiv(num_permutations, BLOCK_PERMUTATIONS))
    _sign_segments[grid](
        hashes, *segments, multipliers, increments, signatures, num_permutations,
        BLOCK_HASHES=BLOCK_HASHES, BLOCK_PERMUTATIONS=BLOCK_PERMUTATIONS, num_warps=NUM_WARPS,
    )  # fmt: skip


def _segments(offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cut every document into segments: the document of each, and where it begins and ends."""
    lengths = offsets[1:] - offsets[:-1]
    counts = (lengths + SEGMENT - 1) // SEGMENT
    documents = torch.repeat_interleave(torch.arange(lengths.numel(), device=offsets.device), counts)
    first = (counts.cumsum(0) - counts)[documents]
    starts = offsets[documents] + (torch.arange(documents.numel(), device=offsets.device) - first) * SEGMENT
    return documents, starts, torch.minimum(starts + SEGMENT, offsets[1:][documents])


@triton.jit
def _sign_segments(  # type: ignore[no-untyped-def]  # noqa: ANN202 - Triton reads annotations as types of its own
    hashes_ptr,  # noqa: ANN001
    documents_ptr,  # noqa: ANN001
    starts_ptr,  # noqa: ANN001
    ends_ptr,  # noqa: ANN001
    multipliers_ptr,  # noqa: ANN001
    increments_ptr,  # noqa: ANN001
    signatures_ptr,  # noqa: ANN001
    num_permutations,  # noqa: ANN001
    BLOCK_HASHES: tl.constexpr,  # noqa: N803
    BLOCK_PERMUTATIONS: tl.constexpr,  # noqa: N803
):
    segment = tl.program_id(0)
    columns = tl.program_id(1) * BLOCK_PERMUTATIONS + tl.arange(0, BLOCK_PERMUTATIONS)
    inside = columns < num_permutations
    a = tl.load(multipliers_ptr + columns, mask=inside, other=1).to(tl.uint32, bitcast=True)
    b = tl.load(increments_ptr + columns, mask=inside, other=0).to(tl.uint32, bitcast=True)
    start, end = tl.load(starts_ptr + segment), tl.load(ends_ptr + segment)
    least = tl.full((BLOCK_HASHES, BLOCK_PERMUTATIONS), 0xFFFFFFFF, tl.uint32)
    for begin in range(start, end, BLOCK_HASHES):
        rows = begin + tl.arange(0, BLOCK_HASHES)
        # Past the end the last hash is taken once more, which moves no minimum.
        x = tl.load(hashes_ptr + tl.minimum(rows, end - 1)).to(tl.uint32, bitcast=True)
        least = tl.minimum(least, a[None, :] * x[:, None] + b[None, :])
    document = tl.load(documents_ptr + segment)
    target = signatures_ptr.to(tl.pointer_type(tl.uint32), bitcast=True) + document * num_permutations + columns
    tl.atomic_min(target, tl.min(least, axis=0), mask=inside, sem="relaxed")
