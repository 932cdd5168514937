"""Expert iteration: rounds in which a model answers problems and is fine-tuned on its own right answers.

A round is rejection sampling (`rejection`) with the newest model, then SFT (`sft`) of that model, or of the first one
(`round_start`). Starting from the first model anew is STaR (Zelikman et al. 2022, arXiv:2203.14465, algorithm 1);
going on from the last is expert iteration with one policy (Anthony et al. 2017, arXiv:1705.08439).

What a round has made lies in the work folder as artifacts of their own until all rounds are done, and SFT has its
stage's checkpoint there: a stopped iteration goes on within its round, to the bytes of an unbroken one on a CPU.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lm.alignment.data import GENERATIONS
from lm.alignment.expert_config import ExpertConfig
from lm.alignment.generations import write_generations
from lm.alignment.policy import Policy, Report, silent
from lm.alignment.rejection import INSTRUCTIONS, write_rejection_samples
from lm.alignment.sft import train_sft
from lm.artifact import Artifact
from lm.chat.records import Problem, of_split, read_records
from lm.code_version import code_digest
from lm.configuration import to_mapping
from lm.errors import ConfigurationError, Interrupted
from lm.model import choose_device, load_model, save_model
from lm.progress import track
from lm.storage import Publication, find_whole, fingerprint, make, open_artifact, publish, sha256_of, write_json
from lm.tokenizer import Tokenizer
from lm.training.metrics import METRICS, work_folder
from lm.training.stop import StopSignals
from lm.training.tensorboard import TensorBoard

KIND = "expert_model"
_EVALUATION = "evaluation.json"


def iterate_experts(
    config: ExpertConfig,
    *,
    model: Path,
    tokenizer: Path,
    problems: Path,
    instructions: Path,
    output: Path,
    shards: Path | None = None,
    report: Report = silent,
) -> Artifact:
    """Tune the model at `model` on its own right answers to the training problems, and publish it at `output`.

    `metrics.jsonl` has a line for each round, with `step` its number: `pass_rate`, the share of right samples of
    the model that the round started with, the accounts of the sampling, SFT's last `loss` and its `heldout_loss`, and
    the rates of the round's model on the held-out problems. `evaluation.json` has these rates before and after.

    Args:
        instructions: their held-out part measures the loss of each SFT; their training part is not learned.

    Raises:
        InputError: a bad line, an empty split, no right answer in a round, or another tokenizer's model.
        Interrupted: stopped by a signal; nothing is published, and the next call goes on from there.
    """
    if config.replay_windows and shards is None:
        raise ConfigurationError(
            f"replay_windows: {config.replay_windows} without token shards to read them from, expected 0 or `shards`"
        )
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    base, vocabulary = open_artifact(model), Tokenizer.load(tokenizer)
    inputs = {
        "model": base.digest,
        "tokenizer": vocabulary.digest,
        "problems": sha256_of(problems),
        "instructions": sha256_of(instructions),
        **({"shards": open_artifact(shards).digest} if shards is not None and config.replay_windows else {}),
    }
    settings, code = to_mapping(config), code_digest(iterate_experts)
    if (whole := find_whole(output, fingerprint(KIND, settings, inputs, code))) is not None:
        return whole
    work = work_folder(output)
    folder = work / "rounds"
    paths = {"tokenizer": tokenizer, "instructions": instructions}

    def rates_of(policy: Artifact, place: Path) -> dict[str, Any]:
        return _heldout_rates(policy, vocabulary, problems, place, config, code)

    with StopSignals() as signals:
        before = rates_of(base, folder / "0")
        newest, rows = base, []
        _check(signals, "before the first round")
        board = TensorBoard(work / "tensorboard", 1)
        for number in track(range(1, config.num_rounds + 1), "expert iteration", unit="round"):
            place = folder / str(number)

            def tell(event: Mapping[str, object], number: int = number) -> None:
                report({"round": number, **event})

            sampled = write_rejection_samples(
                config.sampling(number),
                **paths,
                model=newest.path,
                problems=problems,
                output=place / "samples",
                report=tell,
            )
            _check(signals, f"after the samples of round {number}")
            newest = train_sft(
                config.tuning(number),
                model=model if config.round_start == "base" else newest.path,
                tokenizer=tokenizer,
                instructions=sampled.file(INSTRUCTIONS),
                output=place / "model",
                shards=shards,
                report=tell,
            )
            rates = rates_of(newest, place)
            rows.append(_round_row(number, sampled, newest, rates))
            report(rows[-1])
            board.add(rows[-1])
            _check(signals, f"after round {number}")
        board.close()
    network, _ = load_model(newest, "cpu", vocabulary.digest)
    after = rates_of(newest, folder / str(config.num_rounds))
    evaluation = {"before": before, **after, "rounds": rows}
    with publish(output, kind=KIND, config=settings, inputs=inputs, code=code) as publication:
        save_model(publication.path, network, vocabulary.digest)
        lines = [json.dumps(row, sort_keys=True) + "\n" for row in rows]
        (publication.path / METRICS).write_text("".join(lines), encoding="utf-8")
        write_json(publication.path / _EVALUATION, evaluation)
        last = open_artifact(folder / str(config.num_rounds) / "rates")
        shutil.copyfile(last.file(GENERATIONS), publication.path / GENERATIONS)
        publication.summary.update(evaluation)
    shutil.rmtree(folder, ignore_errors=True)
    return publication.artifact


def _heldout_rates(
    policy: Artifact, vocabulary: Tokenizer, problems: Path, place: Path, config: ExpertConfig, code: str
) -> dict[str, Any]:
    """Return the rates of a model on the held-out problems; they are kept in the folder of its round."""

    def write(publication: Publication) -> None:
        network, _ = load_model(policy, choose_device(config.device), vocabulary.digest)
        heldout = of_split(read_records(Problem, problems), "heldout", problems)
        rates, answers = Policy(network, vocabulary).evaluate(heldout, config)
        means = write_generations(publication.path / GENERATIONS, network, vocabulary, answers)
        publication.summary.update({**rates, "generations": means})

    inputs = {"model": policy.digest, "tokenizer": vocabulary.digest, "problems": sha256_of(problems)}
    made = make(place / "rates", write, kind="round_rates", config=to_mapping(config), inputs=inputs, code=code)
    return dict(made.summary)


def _round_row(number: int, sampled: Artifact, tuned: Artifact, rates: Mapping[str, Any]) -> dict[str, Any]:
    """Return the log's line of one round."""
    accounts = {name: value for name, value in sampled.summary.items() if name.startswith("num_")}
    return {
        "step": number,
        "pass_rate": accounts["num_right"] / accounts["num_sampled"],
        **accounts,
        "loss": json.loads(tuned.file(METRICS).read_text().splitlines()[-1])["loss"],
        "heldout_loss": tuned.summary["loss"]["after"],
        **{
            f"{way}_{rate}": rates[way][rate]
            for way in ("greedy", "sampled")
            for rate in ("verified_rate", "well_formed_rate")
        },
    }


def _check(signals: StopSignals, when: str) -> None:
    """Raise `Interrupted` if a signal came."""
    if signals.received is not None:
        name = signal.Signals(signals.received).name
        raise Interrupted(f"stopped by {name} {when}; nothing was published, run again to resume", signals.received)
