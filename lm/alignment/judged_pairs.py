"""Preference pairs by a judge: two samples of a model to one prompt, and which of them a judging model prefers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lm.alignment.config import PairsConfig
from lm.alignment.judge.comparisons import Comparison, Judged, judge, judge_counts
from lm.chat.records import Instruction, Problem
from lm.chat.template import Message, decode_response, encode_prompt, end_id
from lm.inference.engine import Completion, GenerationConfig, generate
from lm.model import TransformerLM
from lm.storage import write_json
from lm.tokenizer import Tokenizer

SAMPLES = "judge_samples.json"


@dataclass(frozen=True, slots=True)
class OwnPairs:
    """Preference records of a model's own samples, figures for the summary, and the comparisons behind them."""

    pairs: list[dict[str, Any]]
    summary: Mapping[str, Any]
    comparisons: list[dict[str, Any]]


def judged_pairs(
    model: TransformerLM,
    tokenizer: Tokenizer,
    prompts: Sequence[Problem | Instruction],
    config: PairsConfig,
    folder: Path,
    source: str,
) -> OwnPairs:
    """Return the pairs of which both orders name the same answer as the better one.

    Samples and the judge's replies are kept in `folder`; `source` is the digest of the model. The summary counts
    prompts that leave no room in the context, prompts without two different answers that ended, and comparisons by
    outcome.

    Raises:
        UnreachableError, ConfigurationError, InputError, Interrupted: as `lm.alignment.judge.comparisons.judge`.
    """
    room = model.config.context_length - 1
    encoded = {each.id: encode_prompt(tokenizer, each.prompt, _context(each)) for each in prompts}
    fitting = [each for each in prompts if len(encoded[each.id]) <= room]
    sampled = _sampled(model, tokenizer, {each.id: encoded[each.id] for each in fitting}, config, folder, source)
    comparisons, sources = list[Comparison](), dict[str, Problem | Instruction]()
    for each in fitting:
        if len(answers := list(dict.fromkeys(sampled[each.id]))) > 1:
            sources[each.id] = each
            comparisons.append(Comparison(each.id, _conversation(each), answers[0], answers[1]))
    judged = judge(comparisons, config.judge, folder)
    pairs = [_pair(sources[each.comparison.id], each) for each in judged if each.outcome in ("first", "second")]
    counts = {
        "num_too_long": len(prompts) - len(fitting),
        "num_without_two_answers": len(fitting) - len(comparisons),
        **judge_counts(judged),
    }
    return OwnPairs(pairs, counts, [_row(each) for each in judged])


def _sampled(
    model: TransformerLM,
    tokenizer: Tokenizer,
    prompts: Mapping[str, list[int]],
    config: PairsConfig,
    folder: Path,
    source: str,
) -> dict[str, list[str]]:
    """Return the texts of the samples that ended, by prompt. A GPU does not draw the same ones twice, so they are kept:
    with other samples every question to the judge would be a new one.
    """
    path = folder / SAMPLES
    generation = GenerationConfig(max_new_tokens=config.max_new_tokens, temperature=config.temperature)
    shaping = [source, prompts, asdict(generation), config.num_samples, config.seed]
    identity = hashlib.sha256(json.dumps(shaping).encode()).hexdigest()
    try:
        kept = json.loads(path.read_bytes())
        if kept["identity"] == identity:
            return {name: list(texts) for name, texts in kept["samples"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none, or cut off by a kill
    groups = generate(
        model.eval(),
        list(prompts.values()),
        generation,
        stop_ids={end_id(tokenizer)},
        num_samples=config.num_samples,
        seed=config.seed,
    )
    samples = {name: _texts(tokenizer, group) for name, group in zip(prompts, groups, strict=True)}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {"identity": identity, "samples": samples})
    return samples


def _texts(tokenizer: Tokenizer, completions: Sequence[Completion]) -> list[str]:
    texts = (decode_response(tokenizer, each.token_ids) for each in completions if each.finished)
    return [text for text in texts if text]


def _context(item: Problem | Instruction) -> tuple[Message, ...]:
    return item.context if isinstance(item, Instruction) else ()


def _conversation(item: Problem | Instruction) -> str:
    """Return the prompt as a judge reads it: alone, or after the turns before it, each with its role."""
    if not (context := _context(item)):
        return item.prompt
    turns = [(message.role, message.text) for message in context]
    return "\n\n".join(f"{role.capitalize()}: {text}" for role, text in [*turns, ("user", item.prompt)])


def _pair(item: Problem | Instruction, judged: Judged) -> dict[str, Any]:
    better, worse = judged.comparison.first, judged.comparison.second
    if judged.outcome == "second":
        better, worse = worse, better
    context = [{"role": message.role, "content": message.text} for message in _context(item)]
    sides = {"prompt": item.prompt, "chosen": better, "rejected": worse}
    return {"id": f"judged-{item.id}", **sides, "split": "train", **({"context": context} if context else {})}


def _row(judged: Judged) -> dict[str, Any]:
    return {
        **asdict(judged.comparison),
        "verdict": judged.verdict,
        "swapped": judged.swapped,
        "outcome": judged.outcome,
    }
