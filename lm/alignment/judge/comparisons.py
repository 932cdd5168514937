"""Comparisons of two answers by a judge, in both orders; replies are kept, so that no question is sent twice.

A judge may prefer whatever it reads first. Every two answers are therefore compared twice, the second time with their
places swapped, and count only where both verdicts name the same answer (Zheng et al. 2023, arXiv:2306.05685, §3.4).
"""

from __future__ import annotations

import hashlib
import json
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lm.alignment.judge.config import JudgeConfig
from lm.alignment.judge.endpoint import Endpoint, StoppedError
from lm.alignment.judge.prompt import SYSTEM, Verdict, question, read_verdict
from lm.errors import InputError, Interrupted, LoamError
from lm.json_lines import append_object
from lm.progress import bar
from lm.training.stop import StopSignals

REPLIES = "judge_replies.jsonl"
Outcome = Literal["first", "second", "tie", "disagreed", "unreadable", "left_out"]
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers to one prompt; the prompt is the text that the judge reads, with the turns before it."""

    id: str
    prompt: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A comparison with the verdicts of both orders; in `swapped` the second answer is A. None where `max_calls` left
    no question."""

    comparison: Comparison
    verdict: Verdict | None
    swapped: Verdict | None

    @property
    def outcome(self) -> Outcome:
        """Return what both orders agree on."""
        both = (self.verdict, self.swapped)
        if None in both:
            return "left_out"
        if "unreadable" in both:
            return "unreadable"
        agreed: dict[tuple[str | None, str | None], Outcome] = {
            ("A", "B"): "first", ("B", "A"): "second", ("tie", "tie"): "tie",
        }  # fmt: skip
        return agreed.get(both, "disagreed")


def judge(comparisons: Sequence[Comparison], config: JudgeConfig, folder: Path) -> list[Judged]:
    """Return the verdicts of the endpoint on all comparisons, in their order.

    Replies are appended to `REPLIES` in `folder` as they come: a later call with the same questions, settings and
    model sends only those that have none.

    Raises:
        UnreachableError: the endpoint gives no reply; what has been judged is kept.
        ConfigurationError: the endpoint refuses the requests, or the variable of the key is not set.
        InputError: a reply is not a chat completion, or none of the replies names a verdict.
        Interrupted: stopped by a signal; what has been judged is kept.
    """
    endpoint = Endpoint(config)
    orders = [_both_orders(config, each) for each in comparisons]
    allowed = dict.fromkeys(_within(orders, config.max_calls))
    replies = _Replies(folder, config)
    _send([each for each in allowed if each not in replies], endpoint, replies, config)
    verdicts: Mapping[str, Verdict] = {each: read_verdict(replies[each]) for each in allowed}
    if verdicts and set(verdicts.values()) == {"unreadable"}:
        example = replies[next(iter(verdicts))][:80]
        raise InputError(
            f"judge {config.url}: none of {len(verdicts)} replies is A, B or tie, such as {example!r}; expected a "
            "model that replies in this format, and enough max_reply_tokens for its reasoning"
        )
    return [
        Judged(each, verdicts.get(straight), verdicts.get(swapped))
        for each, (straight, swapped) in zip(comparisons, orders, strict=True)
    ]


def judge_counts(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return the comparisons by outcome, and `first_place_share`: of all verdicts for one answer those for the first.

    Every pair is judged in both orders, so a judge without position bias has a share of 0.5, whatever it prefers.
    """
    counts = Counter(each.outcome for each in judged)
    named = Counter(verdict for each in judged for verdict in (each.verdict, each.swapped))
    decided = named["A"] + named["B"]
    return {
        "num_comparisons": len(judged),
        "num_agreed": counts["first"] + counts["second"],
        "num_ties": counts["tie"],
        "num_disagreed": counts["disagreed"],
        "num_unreadable": counts["unreadable"],
        "num_left_out": counts["left_out"],
        "first_place_share": named["A"] / decided if decided else None,
    }


def _both_orders(config: JudgeConfig, each: Comparison) -> tuple[str, str]:
    """Return the question with the first answer as A, and the one with the second as A."""
    straight, swapped = (each.first, each.second), (each.second, each.first)
    return question(config.criteria, each.prompt, *straight), question(config.criteria, each.prompt, *swapped)


def _within(orders: Sequence[tuple[str, str]], max_calls: int) -> Iterator[str]:
    """Yield the questions of the first comparisons, both orders of each, while there are at most `max_calls`."""
    seen = set[str]()
    for both in orders:
        if len(seen | set(both)) > max_calls:
            return
        seen |= set(both)
        yield from both


def _send(questions: Sequence[str], endpoint: Endpoint, replies: _Replies, config: JudgeConfig) -> None:
    """Send the questions, `max_concurrent` at a time. After a failure no new ones are sent, but what comes is kept."""
    waiting, running, failures = iter(questions), dict[Future[str], str](), list[BaseException]()
    drawn = bar("judge", total=len(questions), unit="call")
    with StopSignals() as signals, ThreadPoolExecutor(config.max_concurrent) as pool, drawn:
        while True:
            ending = bool(failures) or signals.received is not None
            if ending:
                endpoint.stop()
            while not ending and len(running) < config.max_concurrent and (text := next(waiting, None)) is not None:
                running[pool.submit(endpoint.reply, text)] = text
            if not running:
                break
            for done in wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED).done:
                text = running.pop(done)
                if (error := done.exception()) is None:
                    replies.keep(text, done.result())
                    drawn.update()
                elif not isinstance(error, StoppedError):
                    failures.append(error)
        if signals.received is not None:
            name = signal.Signals(signals.received).name
            raise Interrupted(
                f"stopped by {name}; {len(replies)} replies are kept, run again to resume", signals.received
            )
    for failure in failures:
        if isinstance(failure, LoamError):
            raise type(failure)(f"{failure}; {len(replies)} replies are kept for the next run")
        raise failure


class _Replies:
    """The replies to questions, on disk by the digest of all that shapes them; a line that is damaged is left aside."""

    def __init__(self, folder: Path, config: JudgeConfig) -> None:
        self._settings = [config.url, config.model, config.temperature, config.max_reply_tokens, SYSTEM]
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / REPLIES
        self._found = dict(_kept(self._path))

    def keep(self, text: str, reply: str) -> None:
        """Store a reply before it counts."""
        append_object(self._path, {"question": self._digest(text), "reply": reply})
        self._found[self._digest(text)] = reply

    def _digest(self, text: str) -> str:
        return hashlib.sha256(json.dumps([*self._settings, text]).encode()).hexdigest()

    def __getitem__(self, text: str) -> str:
        return self._found[self._digest(text)]

    def __contains__(self, text: str) -> bool:
        return self._digest(text) in self._found

    def __len__(self) -> int:
        return len(self._found)


def _kept(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        try:
            row = json.loads(line)
            if isinstance(row["question"], str) and isinstance(row["reply"], str):
                yield row["question"], row["reply"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # cut off by a kill: the question is sent again
