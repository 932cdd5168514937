"""Numeric types under autocast, sums of 1,000 times .01 by type, and the loss that a bfloat16 stream costs.

A value is the number of bits; the peer column names the type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks import residual_stream
from benchmarks.report import Row, finish, parser
from lm.errors import run_command
from lm.kernels.cross_entropy import linear_cross_entropy
from lm.model import TransformerLM, preset
from lm.progress import track

_ADDITIONS = (
    ("float32 into float32", torch.float32, torch.float32, False),
    ("float16 into float16", torch.float16, torch.float16, False),
    ("float16 into float32", torch.float32, torch.float16, False),
    ("float16, first cast, into float32", torch.float32, torch.float16, True),
    ("bfloat16 into bfloat16", torch.bfloat16, torch.bfloat16, False),
)


def addition_rows() -> Iterator[Row]:
    """Yield the sum of 1,000 times .01 in four ways, and in bfloat16; the exact sum is 10."""
    for name, sum_type, term_type, casts in _ADDITIONS:
        total, term = torch.zeros((), dtype=sum_type), torch.tensor(0.01, dtype=term_type)
        for _ in range(1_000):
            total += term.to(sum_type) if casts else term
        error = abs(float(total) - 10.0) / 10.0
        yield Row(name=f"1,000 × .01, {name}", value=float(total), unit="sum", peer=f"off by {100 * error:.3g} %")


def autocast_rows(device: torch.device, dtype: torch.dtype) -> Iterator[Row]:
    """Yield the types of a training step's tensors under autocast to `dtype`, in order of creation."""
    torch.manual_seed(0)
    model = TransformerLM(preset("test")).to(device)
    label = f"autocast to {_name(dtype)} on {device.type}"
    seen: dict[str, torch.dtype] = {}
    handles = [
        part.register_forward_hook(_noting(seen, name))
        for name, part in model.named_modules()
        if name in ("token_embeddings", "layers.0.ln1", "layers.0.attn", "layers.0.ffn", "layers.0", "ln_final")
    ]
    ids = torch.randint(model.config.vocab_size, (2, 17), device=device)
    with torch.autocast(device.type, dtype=dtype):
        hidden = model.hidden(ids[:, :-1])
        logits = model.logits(hidden)
        loss = linear_cross_entropy(hidden.flatten(0, 1), model.lm_head.weight, ids[:, 1:].flatten())
    loss.backward()
    for handle in handles:
        handle.remove()
    weights = dict(model.named_parameters())
    matrix, gain = weights["layers.0.attn.output_proj.weight"], weights["layers.0.ln1.weight"]
    found = {
        "parameters": matrix.dtype,
        **seen,
        "logits": logits.dtype,
        "loss": loss.dtype,
        "gradient of a matrix": _of(matrix.grad),
        "gradient of a gain": _of(gain.grad),
    }
    for name, kind in found.items():
        yield Row(name=f"{label}: {name}", value=torch.finfo(kind).bits, unit="bits", peer=_name(kind))


def _noting(seen: dict[str, torch.dtype], name: str) -> Callable[[nn.Module, tuple[object, ...], Tensor], None]:
    def note(_: nn.Module, __: tuple[object, ...], output: Tensor) -> None:
        seen[f"output of {name}"] = output.dtype

    return note


def _of(gradient: Tensor | None) -> torch.dtype:
    assert gradient is not None
    return gradient.dtype


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def rows(*, toy: bool = False) -> Iterator[Row]:
    """Yield all rows, with autocast on a GPU 'not measured' without a GPU."""
    yield from addition_rows()
    yield from autocast_rows(torch.device("cpu"), torch.bfloat16)
    for dtype in track((torch.bfloat16, torch.float16), "autocast", unit="type"):
        if torch.cuda.is_available():
            yield from autocast_rows(torch.device("cuda"), dtype)
        else:
            yield Row(name=f"autocast to {_name(dtype)} on cuda", value=None, unit="bits")
    yield from residual_stream.rows(toy=toy)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    arguments = parser("precision", (__doc__ or "").strip()).parse_args(argv)
    return finish("precision", rows(), arguments)


if __name__ == "__main__":
    run_command(main)
