"""Rejection sampling: a model answers training problems, and its right answers become instructions to learn from.

Every sample is accounted for: sampled = right + wrong, right = kept + repeated + surplus. Samples are drawn in parts of
some problems each, with a seed of their own; a part that is done is kept until all are, so that a signal loses one part
at most, and the result does not depend on where it came.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from lm.alignment.expert_config import RejectionConfig
from lm.alignment.lengths import with_room
from lm.alignment.policy import Report, silent
from lm.artifact import Artifact
from lm.chat.records import Instruction, Problem, of_split, read_records
from lm.code_version import code_digest
from lm.configuration import to_mapping
from lm.errors import InputError, Interrupted
from lm.evaluation.answers import JudgedAnswer, answer_problems
from lm.inference.engine import GenerationConfig
from lm.model import TransformerLM, choose_device, load_model
from lm.progress import track
from lm.storage import Publication, find_whole, fingerprint, make, open_artifact, publish, sha256_of
from lm.tokenizer import Tokenizer
from lm.training.metrics import work_folder
from lm.training.stop import StopSignals

KIND = "rejection_samples"
INSTRUCTIONS = "instructions.jsonl"
_ROWS_A_PART = 1_024
_PART = "answers.jsonl"


def write_rejection_samples(
    config: RejectionConfig,
    *,
    model: Path,
    tokenizer: Path,
    problems: Path,
    instructions: Path,
    output: Path,
    report: Report = silent,
) -> Artifact:
    """Publish `instructions.jsonl`: right answers of the model to training problems, then the held-out `instructions`.

    The summary has `num_problems`, `num_sampled`, `num_right`, `num_kept`, `num_repeated` (the text of another right
    answer), `num_surplus` (beyond `most_kept`), `num_unsolved` (problems without any right answer), and
    `num_no_room` (problems left out because their prompts leave no room for an answer).

    Raises:
        InputError: a bad line, no training problems, no right answer at all, or another tokenizer's model.
        Interrupted: stopped by a signal; nothing is published, and the next call goes on from there.
    """
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    policy, vocabulary = open_artifact(model), Tokenizer.load(tokenizer)
    inputs = {
        "model": policy.digest,
        "tokenizer": vocabulary.digest,
        "problems": sha256_of(problems),
        "instructions": sha256_of(instructions),
    }
    settings, code = to_mapping(config), code_digest(write_rejection_samples)
    if (whole := find_whole(output, fingerprint(KIND, settings, inputs, code))) is not None:
        return whole
    heldout = _heldout_lines(instructions)
    network, _ = load_model(policy, choose_device(config.device), vocabulary.digest)
    chosen = of_split(read_records(Problem, problems), "train", problems)[: config.num_problems]
    room = network.config.context_length - config.max_new_tokens
    fitting, num_no_room = with_room(vocabulary, chosen, room, config.too_long, problems)
    parts = work_folder(output) / "samples"
    identity = {"settings": settings, "inputs": inputs, "code": code}
    groups = list(_groups(network.eval(), vocabulary, fitting, config, parts, identity))
    rows, counts = [], Counter[str](num_no_room=num_no_room, num_repeated=0, num_surplus=0, num_unsolved=0)
    generator = random.Random(config.seed)
    for answers in groups:
        kept, found = select_right(answers, config, vocabulary, generator)
        counts.update(found)
        rows += [_row(answers[0].problem, number, response) for number, response in enumerate(kept)]
    if not rows:
        raise InputError(
            f"none of {counts['num_sampled']} answers to {len(fitting)} problems is correct; expected a model "
            "that answers some problems correctly"
        )
    with publish(output, kind=KIND, config=settings, inputs=inputs, code=code) as publication:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        path = publication.path / INSTRUCTIONS
        path.write_text("".join(f"{line}\n" for line in [*lines, *heldout]), encoding="utf-8")
        read_records(Instruction, path)  # what SFT would refuse is not published
        publication.summary.update({"num_problems": len(fitting), **counts})
    shutil.rmtree(parts, ignore_errors=True)
    report(
        {"message": f"{len(rows)} correct answers kept of {counts['num_sampled']} sampled for {len(fitting)} problems"}
    )
    return publication.artifact


def select_right(
    answers: Sequence[JudgedAnswer], config: RejectionConfig, tokenizer: Tokenizer, generator: random.Random
) -> tuple[list[str], dict[str, int]]:
    """Return the right answers to one problem that are kept, and the counts of the summary.

    Of equal texts the first counts, surrounding space aside. Kept answers come in the order in which they were drawn.
    """
    right = [answer.response.strip() for answer in answers if answer.is_verified]
    different = list(dict.fromkeys(right))
    ranked = different[:]
    if config.choice == "shortest":
        ranked.sort(key=lambda text: len(tokenizer.encode(text)))
    else:
        generator.shuffle(ranked)
    kept = set(ranked[: config.most_kept])
    return [text for text in different if text in kept], {
        "num_sampled": len(answers),
        "num_right": len(right),
        "num_kept": len(kept),
        "num_repeated": len(right) - len(different),
        "num_surplus": len(different) - len(kept),
        "num_unsolved": int(not right),
    }


def _row(problem: Problem, number: int, response: str) -> dict[str, str]:
    return {"id": f"own-{problem.id}-{number}", "prompt": problem.prompt, "response": response, "split": "train"}


def _heldout_lines(instructions: Path) -> list[str]:
    """Return the lines of the held-out records: SFT on own samples is measured as SFT on the data is.

    Raises:
        InputError: a bad line, or no held-out record.
    """
    of_split(read_records(Instruction, instructions), "heldout", instructions)
    lines = (line for line in instructions.read_text(encoding="utf-8").split("\n") if line.strip())
    return [line for line in lines if json.loads(line)["split"] == "heldout"]


def _groups(
    network: TransformerLM,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    config: RejectionConfig,
    folder: Path,
    identity: dict[str, Any],
) -> Iterator[list[JudgedAnswer]]:
    """Yield the samples of each problem; the parts that an interrupted call has drawn are read from `folder`.

    Raises:
        Interrupted: SIGTERM or SIGINT came during a part; it is kept.
    """
    size = max(1, _ROWS_A_PART // config.num_samples)
    generation = GenerationConfig(max_new_tokens=config.max_new_tokens, temperature=config.temperature)
    with StopSignals() as signals:
        for number, start in enumerate(track(range(0, len(problems), size), "samples", unit="part")):
            part = problems[start : start + size]
            seed = (config.seed * 1_000_003 + number) % 2**63

            def write(publication: Publication, part: Sequence[Problem] = part, seed: int = seed) -> None:
                drawn = answer_problems(network, tokenizer, part, generation, num_samples=config.num_samples, seed=seed)
                rows = [{"response": answer.response, "finished": answer.finished} for answer in drawn]
                (publication.path / _PART).write_text("".join(json.dumps(row) + "\n" for row in rows))

            made = make(
                folder / str(number),
                write,
                kind="sampled_part",
                config={"part": number, **identity["settings"]},
                inputs=identity["inputs"],
                code=identity["code"],
            )
            rows = [json.loads(line) for line in made.file(_PART).read_text().splitlines()]
            for index, problem in enumerate(part):
                group = rows[index * config.num_samples : (index + 1) * config.num_samples]
                yield [JudgedAnswer(problem, row["response"], row["finished"]) for row in group]
            if signals.received is not None:
                name = signal.Signals(signals.received).name
                raise Interrupted(
                    f"stopped by {name} after {start + len(part)} of {len(problems)} problems; nothing was published, "
                    "run again to resume",
                    signals.received,
                )
