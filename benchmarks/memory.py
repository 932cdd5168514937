"""Memory of a training step by recomputation strategy, against the prediction of `lm.accounting`.

On a CPU: the bytes that autograd keeps between forward and backward. On a GPU: the peak of the allocator over a whole
step, with a snapshot for https://pytorch.org/memory_viz where `--snapshot` names a file.
"""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.report import Row, finish, parser
from lm.accounting import activation_bytes_per_token, training_memory
from lm.accounting.flops import Recomputation
from lm.errors import run_command
from lm.kernels.cross_entropy import linear_cross_entropy
from lm.model import TransformerLM, preset
from lm.progress import track
from lm.training.optimizers import AdamW
from lm.training.precision import recompute_blocks

MIB, GIB = 2**20, 2**30
STRATEGIES: Mapping[str, Recomputation] = {"everything kept": "none", "blocks recomputed": "blocks"}


def rows(*, toy: bool = False, snapshot: Path | None = None) -> Iterator[Row]:
    """The saved bytes on a CPU, then the peaks on a GPU; the latter are not measured without one."""
    for strategy in track(STRATEGIES, "memory", unit="strategy"):
        yield _saved_row(strategy)
    for name, batch in (("test", 2),) if toy else (("gpt2_124m", 16), ("llama_1b", 4)):
        for strategy in STRATEGIES:
            if torch.cuda.is_available():
                yield _peak_row(name, batch, strategy, snapshot)
            else:
                yield Row(name=f"peak, {name}, {batch} windows, {strategy}", value=None, unit="GiB")


def _model(name: str, strategy: str, device: torch.device) -> TransformerLM:
    torch.manual_seed(0)
    model = TransformerLM(preset(name)).to(device)
    if strategy == "blocks recomputed":
        recompute_blocks(model.layers)
    return model


def _loss(model: TransformerLM, ids: Tensor) -> Tensor:
    hidden = model.hidden(ids[:, :-1]).flatten(0, 1)
    return linear_cross_entropy(
        hidden, model.lm_head.weight, ids[:, 1:].flatten(), soft_cap=model.config.logit_soft_cap
    )


def _saved_row(strategy: str) -> Row:
    """Each storage that autograd keeps counts once; weights do not count."""
    model = _model("test", strategy, torch.device("cpu"))
    config = model.config
    own = {part.untyped_storage().data_ptr() for part in (*model.parameters(), *model.buffers())}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage().data_ptr()
        if storage not in own:
            kept[storage] = tensor
        return tensor

    ids = torch.randint(config.vocab_size, (2, config.context_length + 1))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = _loss(model, ids)
    measured = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    loss.backward()
    predicted = 2 * config.context_length * activation_bytes_per_token(config)
    predicted += 4 * config.vocab_size * config.d_model  # the gradient that the output layer has made already
    return Row(
        name=f"kept for the backward, test, float32, {strategy}",
        value=measured / MIB,
        unit="MiB",
        peer=f"accountant, everything kept: {predicted / MIB:.2f}",
        ratio=measured / predicted,
    )


def _peak_row(name: str, batch: int, strategy: str, snapshot: Path | None) -> Row:
    device = torch.device("cuda")
    model = _model(name, strategy, device)
    optimizer = AdamW(model.parameters())
    ids = torch.randint(model.config.vocab_size, (batch, model.config.context_length + 1), device=device)
    if snapshot is not None:
        torch.cuda.memory._record_memory_history()
    for _ in range(2):  # moments exist from the second step on
        torch.cuda.reset_peak_memory_stats(device)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = _loss(model, ids)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    peak = torch.cuda.max_memory_allocated(device)
    if snapshot is not None:
        snapshot.write_bytes(pickle.dumps(torch.cuda.memory._snapshot()))
        torch.cuda.memory._record_memory_history(enabled=None)
    predicted = training_memory(model.config, batch, precision="bfloat16", recompute=STRATEGIES[strategy]).total
    del model, optimizer, loss
    gc.collect()
    torch.cuda.empty_cache()
    return Row(
        name=f"peak, {name}, {batch} windows, {strategy}",
        value=peak / GIB,
        unit="GiB",
        peer=f"accountant: {predicted / GIB:.1f}",
        ratio=peak / predicted,
    )


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    options = parser("memory", (__doc__ or "").strip())
    options.add_argument("--snapshot", type=Path, metavar="FILE", help="write the allocator's history of the last peak")
    arguments = options.parse_args(argv)
    return finish("memory", rows(snapshot=arguments.snapshot), arguments)


if __name__ == "__main__":
    run_command(main)
