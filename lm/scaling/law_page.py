"""The report of the own law: one HTML page with the IsoFLOP curves, the loss surface, the frontier, and the predicted
beside the measured loss.
"""

from __future__ import annotations

import functools
import html
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lm import storage
from lm.scaling.fitted_law import law_in
from lm.scaling.grid_files import LAW, PREDICTION, RUNS
from lm.storage import Artifact, Publication

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE = "report.html"
_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "td,th{padding:.2rem .8rem;text-align:right}"
)


def write_law_report(prediction: Artifact, test: Artifact, output: Path) -> Artifact:
    """Publish the page of a prediction and its test at `output`."""
    return storage.make(
        output,
        functools.partial(_write, prediction, test),
        kind="law_report",
        config={},
        inputs={"law_prediction": prediction.digest, "law_test": test.digest},
    )


def _write(prediction: Artifact, test: Artifact, publication: Publication) -> None:
    law, told = (json.loads(prediction.file(name).read_text()) for name in (LAW, PREDICTION))
    measured = json.loads(test.file(RUNS).read_text())
    (publication.path / PAGE).write_text(page(law, told, measured, prediction.digest), encoding="utf-8")
    publication.summary.update(
        predicted_loss=measured["predicted_loss"],
        measured_loss=measured["measured_loss"],
        relative_error=measured["relative_error"],
    )


def page(law: Mapping[str, Any], told: Mapping[str, Any], measured: Mapping[str, Any], digest: str) -> str:
    """Return the page; equal inputs give equal bytes."""
    drawn = [
        ("IsoFLOP curves", functools.partial(_isoflops, law)),
        ("Loss surface", functools.partial(_surface, law, told)),
        ("Frontier", functools.partial(_frontier, law, told, measured)),
    ]
    seeds = ", ".join(f"{row['loss']:.4f} (seed {row['seed']})" for row in measured["runs"])
    verdict = (
        f"The {told['method']} predicted {told['loss']:.4f} nats per token (95% interval {told['low']:.4f} to "
        f"{told['high']:.4f}). The measured mean is {measured['measured_loss']:.4f}: {seeds}. "
        f"Error {measured['relative_error']:+.2%}."
    )
    how = (
        f"Trained: d_model {told['d_model']}, {told['parameters']:,} parameters, {told['tokens']:,} tokens, "
        f"{told['flops']:.4g} FLOPs. Predicted losses by method: {_named(told['losses'])}; prediction errors for the "
        f"held-out largest budget of the grid: {_named(told['largest_left_out'], '{:+.2%}')}. The runs' manifest names "
        f"the prediction {digest[:16]} among its inputs."
    )
    parts = [f"<h2>{title}</h2>\n{_svg(title, draw)}" for title, draw in drawn]
    return "\n".join(
        [
            "<!doctype html><meta charset='utf-8'><title>Loam's own scaling law</title>",
            f"<style>{_STYLE}</style><h1>Loam's own scaling law</h1>",
            f"<p><strong>{html.escape(verdict)}</strong></p><p>{html.escape(how)}</p>",
            *parts,
            "<h2>Fits</h2>",
            _fits_table(law),
            "<h2>Points</h2>",
            _table(law["points"], ("d_model", "parameters", "non_embedding_parameters", "tokens", "flops", "loss")),
            "",
        ]
    )


def _named(values: Mapping[str, float | None], form: str = "{:.4f}") -> str:
    return ", ".join(f"{name} {form.format(value)}" for name, value in values.items() if value is not None)


def _isoflops(law: Mapping[str, Any], axes: Axes) -> None:
    fitted = law_in(law)
    budgets: dict[float, list[Mapping[str, Any]]] = {}
    for row in law["points"]:
        near = next((budget for budget in budgets if abs(row["flops"] / budget - 1) < 0.1), row["flops"])
        budgets.setdefault(near, []).append(row)
    for number, (budget, rows) in enumerate(sorted(budgets.items())):
        sizes = [row["parameters"] for row in rows]
        axes.plot(sizes, [row["loss"] for row in rows], "o", color=f"C{number}", label=f"{budget:.2g} FLOPs")
        axes.plot(
            sizes,
            [fitted.loss(row["parameters"], row["tokens"]) for row in rows],
            "--",
            color=f"C{number}",
            linewidth=1,
        )
    axes.set(xscale="log", xlabel="parameters", ylabel="validation loss, nats per token; dashed: the law")
    axes.legend(frameon=False)


def _surface(law: Mapping[str, Any], told: Mapping[str, Any], axes: Axes) -> None:
    fitted, rows = law_in(law), law["points"]
    sizes, tokens = (
        np.geomspace(0.8 * min(row[name] for row in rows), 1.25 * max([*(row[name] for row in rows), told[name]]), 60)
        for name in ("parameters", "tokens")
    )
    losses = np.array([[fitted.loss(n, d) for d in tokens] for n in sizes])
    drawn = axes.contour(tokens, sizes, losses, levels=14, cmap="viridis")
    axes.clabel(drawn, fontsize=7)
    axes.plot([row["tokens"] for row in rows], [row["parameters"] for row in rows], "k.", label="grid")
    axes.plot([told["tokens"]], [told["parameters"]], "r*", markersize=12, label="predicted")
    axes.set(xscale="log", yscale="log", xlabel="tokens", ylabel="parameters")
    axes.legend(frameon=False)


def _frontier(law: Mapping[str, Any], told: Mapping[str, Any], measured: Mapping[str, Any], axes: Axes) -> None:
    rows = sorted(law["points"], key=lambda row: row["flops"])
    axes.plot([row["flops"] for row in rows], [row["loss"] for row in rows], "k.", alpha=0.5, label="grid")
    fitted = law_in(law)
    flops = np.geomspace(rows[0]["flops"], told["flops"], 40)
    axes.plot(flops, [fitted.loss(*fitted.optimal(each)) for each in flops], "C0", label="frontier of the law")
    bar = [[told["loss"] - told["low"]], [told["high"] - told["loss"]]]
    axes.errorbar([told["flops"]], [told["loss"]], yerr=bar, fmt="r*", markersize=12, capsize=3, label="predicted")
    losses = [row["loss"] for row in measured["runs"]]
    axes.plot([told["flops"]] * len(losses), losses, "C2x", markersize=9, label="measured")
    axes.set(xscale="log", xlabel="FLOPs", ylabel="validation loss, nats per token")
    axes.legend(frameon=False)


def _svg(title: str, draw: Callable[[Axes], None]) -> str:
    # Figure rather than pyplot: no display, no shared state. Imported here, since it is slow to load.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": title, "svg.fonttype": "none"}):
        figure = Figure(figsize=(8.0, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _fits_table(law: Mapping[str, Any]) -> str:
    rows = []
    for count, fits in (("total", law), ("non-embedding", law["non_embedding"])):
        for method, fit in fits["isoflop"].items():
            if "refused" not in fit:
                exponent = f"{fit['parameters']['exponent']:.3f}"
                rows.append({"N counts": count, "method": f"IsoFLOP, {method}", "a": exponent})
        fit = fits["parametric"]
        if "refused" not in fit:
            told = ", ".join(f"{name} {fit[name]:.4g}" for name in ("E", "A", "B", "alpha", "beta"))
            rows.append({"N counts": count, "method": f"parametric: {told}", "a": f"{fit['a']:.3f}"})
    return _table(rows, ("N counts", "method", "a"))


def _table(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in names)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(row[name]))}</td>" for name in names) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>\n{body}</table>"


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}" if isinstance(value, float) else str(value)
