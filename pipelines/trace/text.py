"""Plain-text output of traces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_WIDTH = 15
_MOST_SHOWN = 5
_LINE_SHOWN = 80
_NUM_CUT = "num_cut_passages"


def render(trace: Mapping[str, Any]) -> str:
    """Return one trace (`dataclasses.asdict` of it) as lines of text."""
    lines = [trace["url"], _line("document", trace["doc_id"]), *_record(trace)]
    for passage in trace["passages"]:
        lines += _passage(passage)
    return "\n".join([*lines, *_end(trace)])


def _record(trace: Mapping[str, Any]) -> list[str]:
    record = trace["record"]
    if trace["passages"][0]["stage"] == "added":
        if "warc_path" not in record:
            return []
        return [
            _line("source", record["crawl"]),
            _line("record", f"{record['warc_path']}, row {record['warc_offset']:,}"),
        ]
    if "warc_path" not in record:
        return [_line("partition", trace["partition"])]
    return [
        _line("partition", f"{trace['partition']}, fetched {record['fetched_at']}"),
        _line("record", f"{record['warc_path']} at byte {record['warc_offset']:,}"),
    ]


def _passage(passage: Mapping[str, Any]) -> list[str]:
    found = dict(passage["found"])
    shared = [_line("", f"         {each}") for each in map(_in_common, found.pop("shared", []))]
    stale = [_line("", f"         stale: {found.pop('stale')}")] if "stale" in found else []
    if passage["outcome"] == "removed":
        return [*_removed(passage["stage"], found), *shared, *stale]
    if passage["outcome"] != "kept":
        return [_line(passage["stage"], passage["outcome"]), *stale]
    beaten, dropped = found.pop("chosen_over", []), found.pop("dropped_lines", [])
    said = f"kept     {', '.join(_said(found))}".rstrip()
    return [_line(passage["stage"], said), *_listed(beaten, _loser), *_listed(dropped, _dropped), *shared, *stale]


def _said(found: dict[str, Any]) -> list[str]:
    """Return the findings in words: sizes, scores beside their thresholds, masked data."""
    size = found.pop("text_bytes", None)
    said = [] if size is None else [f"{size:,} bytes of text"]
    masked = {name.removeprefix("num_pii_"): value for name, value in found.items() if name.startswith("num_pii_")}
    if _NUM_CUT in found:
        number = found.pop(_NUM_CUT)
        said.append(f"cut {number} shared passages" if number else "no passage shared with evaluation items")
    for name, value in found.items():
        if name.startswith("num_pii") or name.endswith("_threshold"):
            continue
        threshold = found.get(f"{name}_threshold")
        said.append(f"{name} {_value(value)}" + ("" if threshold is None else f" (threshold {_value(threshold)})"))
    if masked:
        kinds = [f"{count:,} {kind}" for kind, count in masked.items() if count]
        said.append(f"masked {' and '.join(kinds)}" if kinds else "nothing to mask")
    return said


def _removed(stage: str, found: Mapping[str, Any]) -> list[str]:
    said = found["rule"]
    if "value" in found:
        said += f": {_value(found['value'])}"
    if "threshold" in found:
        said += f" (threshold {_value(found['threshold'])})"
    lines = [_line(stage, f"removed  {said}")]
    if "duplicate_of" in found:
        lines.append(_line("", f"         duplicate of {found['duplicate_url'] or '?'}  {found['duplicate_of']}"))
    if "stayed" in found:
        kept = found["stayed_url"] or "?"
        lines.append(_line("", f"         that document was removed too; kept: {kept}  {found['stayed']}"))
    return lines


def _loser(loser: Mapping[str, Any]) -> str:
    alike = "" if loser["jaccard"] is None else f" {_value(loser['jaccard'])}"
    return _line("", f"         chosen over {loser['url']} ({loser['rule']}{alike})")


def _in_common(match: Mapping[str, Any]) -> str:
    where = f"characters {match['start']:,} to {match['end']:,}"
    return f"{match['num_words']} words of {match['evaluation_set']} {match['item']} at {where}: “{match['ngram']} …”"


def _dropped(line: str) -> str:
    shown = line if len(line) <= _LINE_SHOWN else line[:_LINE_SHOWN].rstrip() + "…"
    return _line("", f"         dropped the line “{shown}”")


def _listed(values: Sequence[Any], said: Callable[[Any], str]) -> list[str]:
    """Return a line for each of the first values, and how many more there are."""
    more = len(values) - _MOST_SHOWN
    return [*map(said, values[:_MOST_SHOWN]), *([_line("", f"         and {more} more")] if more > 0 else [])]


def _end(trace: Mapping[str, Any]) -> list[str]:
    if trace["passages"][-1]["outcome"] != "kept":
        return []
    tokens = trace["tokens"]
    if tokens is None:
        return [_line("tokens", "not yet run")]
    if tokens["split"] is None:
        return [_line("tokens", f"not in this artifact{': ' + tokens['stale'] if 'stale' in tokens else ''}")]
    start, end = tokens["start"], tokens["end"]
    lines = [
        _line("tokens", f"{tokens['split']}, {tokens['shard']}, row {tokens['row']:,}, tokens {start:,} to {end:,}"),
        _line("", f"{end - start:,} tokens; in the stream of the split from {tokens['stream_start']:,}"),
    ]
    return [*lines, *([_line("", f"stale: {tokens['stale']}")] if "stale" in tokens else []), *_training(trace)]


def _training(trace: Mapping[str, Any]) -> list[str]:
    """Return the steps that read the document; a held-out document has none."""
    training = trace["training"]
    if trace["tokens"]["split"] != "train":
        return [_line("training", "held out for validation")]
    if training is None:
        return [_line("training", "not yet run")]
    if "stale" in training:
        return [_line("training", f"stale: {training['stale']}")]
    steps, most = training["steps"], 4 * _MOST_SHOWN
    if not steps:
        return [_line("training", f"not read in {training['num_steps']:,} steps")]
    listed = ", ".join(f"{step:,}" for step in steps[:most]) + (", …" if len(steps) > most else "")
    return [_line("training", f"read in {len(steps):,} of {training['num_steps']:,} steps: {listed}")]


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _line(label: str, said: str) -> str:
    return f"  {label:<{_WIDTH}}{said}"
