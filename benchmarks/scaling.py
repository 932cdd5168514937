"""Scaling laws and accounting: fit time, recovery of synthetic laws, prediction error, predicted and counted costs.

The fitted law of a text is read from its home, and is not measured without a home. To fit a law to a text of the shared
data (`benchmarks.training_texts`):

    export LOAM_HOME=FOLDER
    python -m benchmarks.scaling --shards prose                  token shards, into LOAM_HOME
    dagster job execute -m assets.definitions -j scaling_law     the grid, the prediction, its test
    python -m benchmarks.scaling --law prose=FOLDER
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report import Row, finish, parser
from benchmarks.shared_data import shared_data
from benchmarks.training_texts import problem_shards, prose_path, prose_shards
from lm.accounting.flops import training_flops
from lm.accounting.measured_memory import peak_new_bytes
from lm.accounting.memory import training_memory
from lm.errors import InputError, run_command
from lm.locations import workspace
from lm.model import TransformerLM, preset
from lm.progress import track
from lm.scaling.commands import fit
from lm.scaling.grid_files import LAW, RUNS
from lm.scaling.law import CHINCHILLA
from lm.scaling.parametric import ParametricFit, fit_parametric
from lm.scaling.points import Points
from lm.storage import find_artifact
from lm.training.batches import Batch
from lm.training.config import PretrainConfig
from lm.training.metrics import live_rows
from lm.training.trainer import Trainer
from pipelines import paths

NUM_POINTS, NUM_BUDGETS, DEVIATION = 240, 12, 0.005
VOCAB_SIZE = 1_024
"""Of the texts: small, so that models this small are more than their embeddings."""
_TRUE = {
    "E": CHINCHILLA.e,
    "A": CHINCHILLA.a,
    "B": CHINCHILLA.b,
    "alpha": CHINCHILLA.alpha,
    "beta": CHINCHILLA.beta,
    "a": CHINCHILLA.exponents[0],
}


def rows(laws: Mapping[str, Path], num_laws: int = 100, num_draws: int = 200) -> Iterator[Row]:
    """Yield all rows; `laws` are the homes of own laws by their texts' names, and `num_laws` synthetic sets of points
    are fitted, each with `num_draws` bootstrap draws."""
    yield Row(
        name="all fits of 240 points in CSV, 400 bootstrap draws",
        value=_seconds_of_fits(planted(0)),
        unit="s",
        target=120.0,
        better="lower",
    )
    hits = dict.fromkeys(_TRUE, 0)
    for seed in track(range(num_laws), "planted laws", unit="law"):
        found = fit_parametric(planted(seed), num_draws=num_draws, seed=seed)
        for name in hits:
            hits[name] += _inside(found, name)
    for name, count in hits.items():
        yield Row(
            name=f"planted laws with {name} in its 95% interval",
            value=100 * count / num_laws,
            unit="of 100",
            peer=f"{num_laws} sets of {NUM_POINTS} points, noise {DEVIATION:.1%}",
            target=90.0,
        )
    yield from _accounting()
    for text, home in laws.items():
        yield from _own_law(text, home)


def _seconds_of_fits(points: Points) -> float:
    """Return the seconds from a file to every fit that `python -m lm.scaling fit` prints."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.csv"
        table = np.stack([points.parameters, points.tokens, points.loss], axis=1)
        np.savetxt(path, table, delimiter=",", header="N,D,loss", comments="")
        started = time.perf_counter()
        found = fit(path, "total", 400, 0)
        assert len(found["parametric"]["draws"]) == 400
        return time.perf_counter() - started


def planted(seed: int) -> Points:
    """Return IsoFLOP points of the published law, their log losses moved by normal noise."""
    generator = np.random.default_rng(seed)
    flops = np.repeat(np.logspace(18, 21.5, NUM_BUDGETS), NUM_POINTS // NUM_BUDGETS)
    optimum = np.array([CHINCHILLA.optimal(each)[0] for each in flops])
    parameters = optimum * np.exp(generator.uniform(-1.6, 1.6, len(flops)))
    tokens = flops / 6 / parameters
    losses = np.array([CHINCHILLA.loss(n, d) for n, d in zip(parameters, tokens, strict=True)])
    return Points(parameters, tokens, flops, losses * np.exp(DEVIATION * generator.standard_normal(len(flops))))


def _inside(fit: ParametricFit, name: str) -> bool:
    return _TRUE[name] in fit.intervals[name]


def _own_law(text: str, home: Path) -> Iterator[Row]:
    """Yield the error of the prediction, the spread of the seeds, and the time of the grid's steps."""
    names = [f"own law of {text}, {name}" for name in ("error at 4 times the largest budget", "spread", "grid's steps")]
    found = find_artifact(paths.artifact_path("law_test", None, home))
    if found is None:
        yield from (Row(name=name, value=None, unit="") for name in names)
        return
    told = json.loads(found.file(RUNS).read_text())
    losses = [row["loss"] for row in told["runs"]]
    interval = f"95%: {told['prediction']['low']:.3f} to {told['prediction']['high']:.3f}"
    yield Row(
        name=names[0],
        value=100 * abs(told["relative_error"]),
        unit="%",
        peer=f"predicted {told['predicted_loss']:.4f} nats by the {told['prediction']['method']} ({interval}), "
        f"measured {told['measured_loss']:.4f}",
        target=2.0,
        better="lower",
    )
    yield Row(
        name=names[1],
        value=100 * (max(losses) - min(losses)) / told["measured_loss"],
        unit="%",
        peer=", ".join(f"{loss:.4f}" for loss in losses),
    )
    seconds = _seconds_of_grid(home)
    yield Row(name=names[2], value=seconds, unit="s", target=1_800.0, better="lower")


def _seconds_of_grid(home: Path) -> float | None:
    """Return the seconds of the steps of all runs behind the prediction, or None if a record is missing."""
    law = find_artifact(paths.artifact_path("law_prediction", None, home))
    if law is None:
        return None
    points = {(row["d_model"], row["tokens"]) for row in json.loads(law.file(LAW).read_text())["points"]}
    seconds: dict[tuple[int, int], float] = {}
    for folder in workspace(paths.artifact_path("law_runs", None, home)).with_name("law_runs.work").iterdir():
        run = find_artifact(folder) if folder.suffix != ".work" else None
        if run is not None:
            place = run.config["model"]["d_model"], run.summary["tokens"]
            seconds[place] = max((row.get("seconds", 0.0) for row in live_rows(folder)), default=0.0)
    return sum(seconds[place] for place in points) if points <= seconds.keys() else None


def _accounting() -> Iterator[Row]:
    """Yield FLOPs against torch's count, and bytes of a step against the allocations that torch's profiler sees."""
    for name, switches in (("attention", {}), ("state space", {"layer_pattern": ("ssm",), "d_state": 16})):
        config = preset("tiny_cpu", attention="reference", **switches)
        model, ids = TransformerLM(config), torch.zeros(2, 65, dtype=torch.long)
        with FlopCounterMode(display=False) as counted:
            model(ids).sum().backward()
        predicted = 2 * training_flops(config, 65, convention="square").total
        yield _error(f"FLOPs of forward and backward, {name}", predicted, counted.get_total_flops(), "FLOPs", 1.0)
    for optimizer in ("muon", "adamw", "sgd"):
        yield _memory_error(PretrainConfig(preset="tiny_cpu", num_steps=5, batch_size=8, optimizer=optimizer))
    for recomputation in ("blocks", "selective"):
        yield _memory_error(
            PretrainConfig(preset="tiny_cpu", num_steps=5, batch_size=8, optimizer="adamw", recomputation=recomputation)
        )


def _error(name: str, predicted: float, measured: float, unit: str, most: float) -> Row:
    """Return the error of a prediction in percent, in either direction."""
    return Row(
        name=name,
        value=100 * abs(predicted / measured - 1),
        unit="%",
        peer=f"predicted {predicted:,.6g}, measured {measured:,.6g} {unit}",
        target=most,
        better="lower",
    )


class _OneBatch:
    """A loader of one random batch."""

    def __init__(self, vocab_size: int, batch_size: int, context_length: int) -> None:
        self._ids = torch.randint(vocab_size, (batch_size, context_length + 1))

    def next_batch(self) -> Batch:
        """Return the batch."""
        return Batch(self._ids, None, None, (), self._ids[:, 1:].numel())


def _memory_error(config: PretrainConfig) -> Row:
    shape = config.model_config(4_096)
    loader = _OneBatch(shape.vocab_size, config.batch_size, shape.context_length)
    trainer = Trainer(config, TransformerLM(shape), loader)  # type: ignore[arg-type]
    trainer.train_step()
    _, new = peak_new_bytes(trainer.train_step)
    states = (value for state in trainer.optimizer.state.values() for value in state.values())
    kept = sum(value.nbytes for value in states if torch.is_tensor(value))
    measured = new + kept + sum(parameter.nbytes for parameter in trainer.model.parameters())
    predicted = training_memory(
        shape, config.batch_size, optimizer=config.optimizer, recompute=config.recomputation, device="cpu"
    ).total
    name = f"bytes of a step, {config.optimizer}, recomputation {config.recomputation}"
    return _error(name, predicted / 1e6, measured / 1e6, "MB", 10.0)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("scaling", (__doc__ or "").strip())
    options.add_argument("--laws", type=int, default=100, help="synthetic sets of points (default: 100)")
    options.add_argument("--law", action="append", default=[], metavar="TEXT=HOME", help="home of a fitted law")
    options.add_argument("--shards", choices=("prose", "problems"), help="only write a text's shards into LOAM_HOME")
    arguments = options.parse_args(argv)
    if arguments.shards:
        _write_shards(arguments.shards, paths.artifact_path("token_shards", None, paths.home()))
        return 0
    laws = dict(law.split("=", 1) if "=" in law else (law, "") for law in arguments.law)
    if absent := [text for text, home in laws.items() if not Path(home, "artifacts").is_dir()]:
        raise InputError(f"--law {absent[0]}={laws[absent[0]]}: no home there, expected TEXT=HOME")
    homes = {text: Path(home) for text, home in laws.items()} or {"any text": paths.home()}
    return finish("scaling", rows(homes, arguments.laws), arguments)


def _write_shards(text: str, target: Path) -> None:
    prose, problems = prose_path(), shared_data() / "gsm8k"
    if text == "prose" and prose is not None:
        prose_shards(prose, target, VOCAB_SIZE)
    elif text == "problems" and problems.is_dir():
        problem_shards(problems, target, VOCAB_SIZE)
    else:
        raise InputError(f"{shared_data()}: no {text}, expected as in benchmarks.training_texts (LOAM_SHARED_DATA)")


if __name__ == "__main__":
    run_command(main)
