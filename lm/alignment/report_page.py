"""The evaluation report as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def render_report(facts: Mapping[str, Any]) -> str:
    """The page for the figures of `report.json`."""
    stages = facts["stages"]
    parts = [
        "# Evaluation",
        f"{facts['num_problems']} held-out problems, answered greedily and by one sample at temperature 1. An answer "
        "is well-formed when it ends in a line `#### <number>` and ends its turn, verified when its number is right; "
        "± is one standard error. Bits per byte over those of the first stage are what alignment costs the language.",
        _stage_table(stages),
        *_gains(stages),
        "## Before and after",
        _sample_table(facts["samples"]),
    ]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of escaped cells."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape(text: str) -> str:
    """Text as one cell that shows as it is: a model may write markup, and what looks like it."""
    for character in "\\`*_{}[]<>()#+-.!|~":
        text = text.replace(character, "\\" + character)
    return text.replace("\n", " ⏎ ").replace("\r", " ")


def _stage_table(stages: Sequence[Mapping[str, Any]]) -> str:
    head = [
        "stage",
        "bits per byte",
        "over the first",
        "prefers chosen",
        "well-formed",
        "verified",
        "well-formed, sampled",
        "verified, sampled",
    ]
    rows = [
        [
            escape(stage["stage"]),
            _number(stage["bits_per_byte"]),
            _over_the_first(stage, stages),
            _percent(stage["prefers_chosen"]),
            *(
                cell
                for way in ("greedy", "sampled")
                for cell in (_percent(stage[way]["well_formed_rate"]), _with_error(stage[way]))
            ),
        ]
        for stage in stages
    ]
    return table(head, rows)


def _gains(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the findings of each stage's own evaluation that are not in the table."""
    lines = []
    for stage in stages:
        preference = stage["stored"].get("preference", {})
        if {"before", "after"} <= preference.keys():
            before, after = preference["before"], preference["after"]
            lines.append(
                f"- {escape(stage['stage'])}: the chosen response of a held-out pair ranks first in "
                f"{_percent(after['reward_accuracy'])} by implicit reward, and in "
                f"{_percent(after['log_prob_accuracy'])} by log-probability "
                f"({_percent(before['log_prob_accuracy'])} before)."
            )
        if "before" in stage["stored"] and "greedy" in stage["stored"]:
            lines.append(f"- {escape(stage['stage'])}: {_change(stage['stored'])}.")
    return ["\n".join(lines)] if lines else []


def _change(stored: Mapping[str, Any]) -> str:
    changes = []
    for way in ("greedy", "sampled"):
        before, after = stored["before"][way]["verified_rate"], stored[way]["verified_rate"]
        changes.append(f"{way} {_percent(before)} → {_percent(after)} ({100 * (after - before):+.1f} points)")
    return "verified answers to its own held-out prompts " + ", ".join(changes)


def _sample_table(samples: Sequence[Mapping[str, Any]]) -> str:
    if not samples:
        return "None."
    head = ["prompt", "answer", *(escape(response["stage"]) for response in samples[0]["responses"])]
    rows = [
        [
            escape(sample["prompt"]),
            str(sample["expected"]),
            *(("✓ " if response["verified"] else "✗ ") + escape(response["text"]) for response in sample["responses"]),
        ]
        for sample in samples
    ]
    return table(head, rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _over_the_first(stage: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> str:
    now, first = stage["bits_per_byte"], stages[0]["bits_per_byte"]
    return "–" if now is None or first is None or stage is stages[0] else f"{100 * (now / first - 1):+.1f}%"


def _with_error(rates: Mapping[str, Any]) -> str:
    return f"{_percent(rates['verified_rate'])} ± {100 * rates['verified_standard_error']:.1f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"
