"""Memory of a training step by recomputation strategy, against the prediction of `lm.accounting`.

On a CPU: the bytes that autograd keeps between forward and backward. On a GPU: the peak of the allocator over a whole
step, with a snapshot for https://pytorch.org/memory_viz where `--snapshot` names a file.
"""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.report import Row, finish, parser
from lm.accounting import activation_bytes_per_token, training_memory
from lm.errors import run_command
from lm.kernels.cross_entropy import linear_cross_entropy
from lm.model import TransformerLM, preset
from lm.progress import track
from lm.training.config import Recomputation
from lm.training.optimizers import AdamW
from lm.training.recomputation import recompute

MIB, GIB = 2**20, 2**30
STRATEGIES: Mapping[str, Recomputation] = {
    "everything kept": "none",
    "products and attention kept": "selective",
    "blocks recomputed": "blocks",
}


def rows(*, toy: bool = False, snapshot: Path | None = None) -> Iterator[Row]:
    """Yield the saved bytes on a CPU, then the peaks on a GPU ('not measured' without a GPU)."""
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
    recompute(model.layers, STRATEGIES[strategy])
    return model


def _loss(model: TransformerLM, ids: Tensor) -> Tensor:
    hidden = model.hidden(ids[:, :-1]).flatten(0, 1)
    return linear_cross_entropy(
        hidden, model.lm_head.weight, ids[:, 1:].flatten(), soft_cap=model.config.logit_soft_cap
    )


def id_of(tensor: Tensor) -> int:
    """Return an identifier of the memory of a tensor."""
    return int(tensor.untyped_storage()._cdata)


class _Results(TorchDispatchMode):
    """Records the memory of every operation's results."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, StorageWeakRef] = {}
        self.sizes: dict[int, int] = {}

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        results = operation(*arguments, **(options or {}))
        given = {id_of(part) for part in tree_leaves((arguments, options)) if isinstance(part, Tensor)}
        for part in tree_leaves(results):
            if isinstance(part, Tensor) and id_of(part) not in given:  # a view has the memory of what it was given
                storage = part.untyped_storage()
                self.storages[id_of(part)], self.sizes[id_of(part)] = StorageWeakRef(storage), storage.nbytes()
        return results


def live_bytes(forward: Callable[[], Tensor]) -> int:
    """Return the bytes kept for the backward pass after `forward`, each storage once, without weights."""
    with _Results() as results:
        held = forward()
    found = sum(results.sizes[key] for key, storage in results.storages.items() if not storage.expired())
    del held
    return found


def _saved_row(strategy: str) -> Row:
    model = _model("test", strategy, torch.device("cpu"))
    config = model.config
    ids = torch.randint(config.vocab_size, (2, config.context_length + 1))
    measured = live_bytes(lambda: _loss(model, ids))
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
    # Of selective recomputation the accountant has no count.
    counted: Literal["none", "blocks"] = "blocks" if STRATEGIES[strategy] == "blocks" else "none"
    predicted = training_memory(model.config, batch, precision="bfloat16", recompute=counted).total
    del model, optimizer, loss
    gc.collect()
    torch.cuda.empty_cache()
    return Row(
        name=f"peak, {name}, {batch} windows, {strategy}",
        value=peak / GIB,
        unit="GiB",
        peer=f"accountant, {counted} recomputed: {predicted / GIB:.1f}",
        ratio=peak / predicted,
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("memory", (__doc__ or "").strip())
    options.add_argument("--snapshot", type=Path, metavar="FILE", help="write the allocator's history of the last peak")
    arguments = options.parse_args(argv)
    return finish("memory", rows(snapshot=arguments.snapshot), arguments)


if __name__ == "__main__":
    run_command(main)
