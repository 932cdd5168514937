"""Accuracy of a classifier of toxic tweets on held-out tweets, and on pages of every length.

The labels are `toxicity/davidson_2017.csv` below `LOAM_SHARED_DATA`: 24,783 tweets, class 0 hate, 1 offensive, 2
neither. A hash of the text selects the held-out tweets, so equal tweets are in the same part. The harmless pages
are the real pages of `html_snippets` and `html_truth` and the public-domain prose; `--show N` prints the N with
the highest scores. In the harmful pages, English real pages, held-out toxic tweets replace a share of the lines.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Row, finish, parser
from benchmarks.shared_data import shared_data
from benchmarks.web.real_pages import real_pages
from lm.errors import run_command
from pipelines.classifiers.fasttext_training import load_classifier, split_examples
from pipelines.classifiers.model_file import model_file
from pipelines.filters.harm_calibration import crawl_threshold, train_harmful_classifiers
from pipelines.filters.harmful import DEFAULT_CONFIG, HarmScale, document_scores
from pipelines.filters.labels import read_labels

TWEETS = Path("toxicity") / "davidson_2017.csv"
HARMFUL = ("0", "1")
MIN_ROC_AUC = 0.95
MAX_FALSE_POSITIVE_RATE = 0.01
MIN_RECALL = 0.9
_LENGTHS = (50, 150, 600, 2400, 10**9)
_SHARES = (0.1, 0.25, 0.5, 1.0)
_MIN_HOST_WORDS = 100
_RATES = ("roc_auc", "precision", "recall", "f1", "false_positive_rate", "threshold")


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("harmful", (__doc__ or "").strip())
    options.add_argument("--show", type=int, default=0, metavar="N", help="print the N top-scoring harmless pages")
    arguments = options.parse_args(argv)
    if not (shared_data() / TWEETS).is_file():
        return finish("harmful", [Row(name="ROC AUC on held-out tweets", value=None, unit="")], arguments)
    with tempfile.TemporaryDirectory() as folder:
        rows = list(measure(Path(folder), arguments.show))
    return finish("harmful", rows, arguments)


def measure(folder: Path, num_shown: int) -> Iterator[Row]:
    """Yield every row; write the models below `folder`."""
    tweets = list(read_labels(shared_data() / TWEETS, "class", text="tweet", positive=HARMFUL))
    start = time.process_time()
    found = train_harmful_classifiers({"toxic": tweets}, DEFAULT_CONFIG, folder)["toxic"]
    seconds = time.process_time() - start
    for name in _RATES:
        target = MIN_ROC_AUC if name == "roc_auc" else None
        yield Row(name=f"held-out tweets: {name.replace('_', ' ')}", value=found[name], unit="", target=target)
    yield Row(name="training and calibration, one thread", value=seconds, unit="s")
    model = load_classifier(str(folder / model_file("toxic")), found["model_sha256"])
    scale = HarmScale(window_words=found["window_words"], floor=found["floor"])
    harmless = [page.text for page in real_pages(shared_data().joinpath)]
    hosts = [page.text for page in real_pages(shared_data().joinpath) if page.language == "en"]
    with gzip.open(shared_data() / "prose" / "public_domain.jsonl.gz", "rt", encoding="utf-8") as lines:
        harmless += [json.loads(line)["text"] for line in lines]
    scores = document_scores(model, harmless, scale)
    threshold = crawl_threshold(scores, np.array(found["harmful_page_scores"]), 0.005, found["page_threshold"])
    yield Row(name="threshold on pages", value=threshold, unit="")
    yield from _false_positives(harmless, scores >= threshold)
    _, heldout = split_examples(tweets, DEFAULT_CONFIG.heldout_share)
    yield from _recall(model, scale, threshold, hosts, [text for text, label in heldout if label])
    for index in np.argsort(-scores)[:num_shown].tolist():
        print(f"{scores[index]:.4f}  {len(harmless[index].split()):>6} words  {harmless[index][:100]!r}")


def _false_positives(texts: Sequence[str], flagged: Any) -> Iterator[Row]:
    words = np.array([len(text.split()) for text in texts])
    for low, high in itertools.pairwise(_LENGTHS):
        here = (words >= low) & (words < high)
        yield Row(
            name=f"harmless pages from {low:,} words on: flagged",
            value=float(flagged[here].mean()),
            unit=f"of {here.sum():,}",
            target=MAX_FALSE_POSITIVE_RATE,
            better="lower",
        )


def _recall(
    model: Any, scale: HarmScale, threshold: float, hosts: Sequence[str], tweets: Sequence[str]
) -> Iterator[Row]:
    long = [text for text in hosts if len(text.split()) >= _MIN_HOST_WORDS]
    for share in _SHARES:
        chooser = random.Random(0)
        planted = [_planted(text, tweets, share, chooser) for text in long]
        yield Row(
            name=f"pages of which {share:.0%} is toxic: found",
            value=float((document_scores(model, planted, scale) >= threshold).mean()),
            unit=f"of {len(long):,}",
            target=MIN_RECALL if share >= 0.25 else None,
        )


def _planted(text: str, tweets: Sequence[str], share: float, chooser: random.Random) -> str:
    """Return `text` with this `share` of its words, in whole lines, replaced in one place by words of tweets."""
    lines, wanted = text.split("\n"), share * len(text.split())
    toxic: list[str] = []
    while sum(len(line.split()) for line in toxic) < wanted:
        toxic.append(chooser.choice(tweets))
    gone = 0
    while gone < wanted and lines:
        gone += len(lines.pop(chooser.randrange(len(lines))).split())
    place = chooser.randrange(len(lines) + 1)
    return "\n".join([*lines[:place], *toxic, *lines[place:]])


if __name__ == "__main__":
    run_command(main)
