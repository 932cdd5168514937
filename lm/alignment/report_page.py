"""The evaluation report as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def render_report(facts: Mapping[str, Any]) -> str:
    """Return the page for the figures of `report.json`."""
    stages = facts["stages"]
    parts = [
        "# Evaluation",
        f"{facts['num_problems']} held-out problems, answered greedily and by one sample at temperature 1. "
        "A well-formed answer ends in a line `#### <number>` and the end-of-turn token. A verified answer is "
        "well-formed and has the correct number. ± is one standard error. All stages answer the same problems. "
        f"`prefers chosen` is the share of held-out preference pairs ({_count(facts.get('num_pairs'))}) with the "
        "chosen response more likely. Length and KL are measured on the samples; KL is from the first stage, in nats "
        "per token. The tax is the relative increase in bits per byte over a control with the same replay."
        f"{_win_rate_note(facts.get('win_rate_against'))}",
        _stage_table(stages),
        *_paired_gains(facts.get("gains", [])),
        *_gains(stages),
        "## Before and after",
        _sample_table(facts["samples"]),
    ]
    return "\n\n".join(parts) + "\n"


def _win_rate_note(against: str | None) -> str:
    if against is None:
        return ""
    return (
        f" The win rate compares the rewards of greedy answers with those of {escape(against)} on the same prompts; "
        "ties count half."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table of escaped cells."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape(text: str) -> str:
    """Return the text as one cell that shows as it is: a model may write markup, and what looks like it."""
    for character in "\\`*_{}[]<>()#+-.!|~":
        text = text.replace(character, "\\" + character)
    return text.replace("\n", " ⏎ ").replace("\r", " ")


def _stage_table(stages: Sequence[Mapping[str, Any]]) -> str:
    head = [
        "stage",
        "bits per byte",
        "tax",
        "prefers chosen",
        "well-formed",
        "verified",
        "well-formed, sampled",
        "verified, sampled",
        "tokens",
        "KL",
        "win rate",
    ]
    rows = [
        [
            escape(stage["stage"]),
            _number(stage["bits_per_byte"]),
            _signed_percent(stage.get("tax")),
            _percent(stage["prefers_chosen"]),
            *(
                cell
                for way in ("greedy", "sampled")
                for cell in (_percent(stage[way]["well_formed_rate"]), _with_error(stage[way]))
            ),
            _tenths(stage.get("response_tokens")),
            _number(stage.get("kl_from_first")),
            _wins(stage),
        ]
        for stage in stages
    ]
    return table(head, rows)


def _paired_gains(gains: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each stage's gain over each one before."""
    lines = []
    for gain in gains:
        removed = "" if gain["error_removed"] is None else f"; {_percent(gain['error_removed'])} of the errors removed"
        lines.append(
            f"- {escape(gain['to'])} over {escape(gain['from'])}: {100 * gain['gain']:+.1f} ± "
            f"{100 * gain['standard_error']:.1f} percentage points of verified greedy answers{removed}."
        )
    return ["\n".join(lines)] if lines else []


def _gains(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the findings of each stage's own evaluation that are not in the table."""
    lines = []
    for stage in stages:
        preference = stage["stored"].get("preference", {})
        if {"before", "after"} <= preference.keys():
            before, after = preference["before"], preference["after"]
            lines.append(
                f"- {escape(stage['stage'])}: the chosen response has the higher implicit reward in "
                f"{_percent(after['reward_accuracy'])} of the held-out pairs, and the higher log-probability in "
                f"{_percent(after['log_prob_accuracy'])} ({_percent(before['log_prob_accuracy'])} before)."
            )
        if "before" in stage["stored"] and "greedy" in stage["stored"]:
            lines.append(f"- {escape(stage['stage'])}: {_change(stage['stored'])}.")
    return ["\n".join(lines)] if lines else []


def _change(stored: Mapping[str, Any]) -> str:
    changes = []
    for way in ("greedy", "sampled"):
        before, after = stored["before"][way]["verified_rate"], stored[way]["verified_rate"]
        changes.append(
            f"{way} {_percent(before)} → {_percent(after)} ({100 * (after - before):+.1f} percentage points)"
        )
    return "verified answers to its own held-out prompts: " + ", ".join(changes)


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


def _tenths(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _count(value: int | None) -> str:
    return "none given" if value is None else f"{value:,}"


def _signed_percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.2f}%"


def _with_error(rates: Mapping[str, Any]) -> str:
    return f"{_percent(rates['verified_rate'])} ± {100 * rates['verified_standard_error']:.1f}"


def _wins(stage: Mapping[str, Any]) -> str:
    if stage.get("win_rate") is None:
        return "–"
    return f"{_percent(stage['win_rate'])} ± {100 * stage['win_standard_error']:.1f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"
