"""Ablations of model and training: every question of `lm.ablations`, on the built-in crawl and on real prose, with the
spread between two seeds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.report import Row, finish, parser
from benchmarks.training_texts import crawl_shards, prose_path, prose_shards
from lm.ablations.config import QUESTIONS, AblationConfig
from lm.ablations.report import PAGE, runs_of, standings, write_ablation_report
from lm.ablations.run import run_ablation
from lm.errors import run_command
from lm.progress import track
from lm.storage import Artifact

VOCAB_SIZE = 2_048
NUM_TOKENS = 200_000
SETTINGS = {
    "preset": "tiny_cpu",
    "model": {"d_model": 64, "context_length": 128},
    "evaluation_tokens": 8_192,
    "device": "cpu",
    "num_threads": 1,
}
"""A model of 344,640 weights, small since there are up to 84 training runs."""


def corpora(names: Sequence[str], folder: Path) -> Iterator[tuple[str, Artifact]]:
    """Yield the shards of the requested corpora that are available."""
    prose = prose_path()
    if "crawl" in names:
        yield "crawl", crawl_shards(folder / "crawl", VOCAB_SIZE)
    if "prose" in names and prose is not None:
        yield "prose", prose_shards(prose, folder / "prose", VOCAB_SIZE)


def measure(
    names: Sequence[str], questions: Sequence[str], folder: Path, pages: Path | None, num_tokens: int
) -> Iterator[Row]:
    """Yield one row per variant; write the report of each corpus to `pages`, if given, as Markdown."""
    config = AblationConfig(num_tokens=num_tokens, training=SETTINGS)
    for name, shards in corpora(names, folder):
        place = folder / f"{name}-ablations"
        artifacts = {}
        for question in track(questions, f"ablations on {name}", unit="question"):
            artifacts[question] = run_ablation(
                config, question=question, shards=shards.path, runs=place / "runs", output=place / question
            )
            yield from _rows(name, question, artifacts[question])
        if pages is not None:
            report = write_ablation_report(artifacts, place / "report")
            (pages / f"ablations_{name}.md").write_text(report.file(PAGE).read_text(), encoding="utf-8")


def _rows(corpus: str, question: str, artifact: Artifact) -> Iterator[Row]:
    told = artifact.summary
    for row in standings(runs_of(artifact)):
        note = "diverged" if row["validation_loss"] is None else f"between seeds {row['spread']:.3f}"
        won = ", wins" if row["variant"] == told["winner"] else ""
        yield Row(
            name=f"{corpus}: {question.replace('_', ' ')}, {row['variant']}",
            value=row["validation_loss"],
            unit="nats/token",
            peer=f"{note}{won}",
        )


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("ablations", (__doc__ or "").strip())
    options.add_argument("--corpora", nargs="+", choices=("crawl", "prose"), default=["crawl", "prose"])
    options.add_argument("--questions", nargs="+", choices=list(QUESTIONS), default=list(QUESTIONS))
    options.add_argument("--num-tokens", type=int, default=NUM_TOKENS, metavar="N", help="tokens of each run (200,000)")
    options.add_argument("--pages", type=Path, metavar="FOLDER", help="write each corpus's report there as Markdown")
    options.add_argument("--work", type=Path, metavar="FOLDER", help="keep the training runs there, and resume them")
    arguments = options.parse_args(argv)
    names, questions, pages = arguments.corpora, arguments.questions, arguments.pages

    def rows(folder: Path) -> list[Row]:
        return list(measure(names, questions, folder, pages, arguments.num_tokens))

    return finish("ablations", _within(arguments.work, rows), arguments)


def _within(work: Path | None, rows: Callable[[Path], list[Row]]) -> list[Row]:
    if work is not None:
        return rows(work)
    with tempfile.TemporaryDirectory() as folder:
        return rows(Path(folder))


if __name__ == "__main__":
    run_command(main)
