"""How well the toxic classifier tells hateful or offensive tweets from others, on the fifth that it did not learn from.

The input is `toxicity/davidson_2017.csv` below `LOAM_SHARED_DATA`: 24,783 tweets, class 0 hate, 1 offensive, 2 neither.
Which are held out is decided by a hash of their text, so that equal tweets lie on one side.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import Row, finish, parser
from benchmarks.web.pages import shared_data
from lm.errors import run_command
from pipelines.classifiers.fasttext_training import train_classifier
from pipelines.filters.harmful import DEFAULT_CONFIG, document_scores
from pipelines.filters.labels import read_labels

TWEETS = Path("toxicity") / "davidson_2017.csv"
HARMFUL = ("0", "1")
MIN_ROC_AUC = 0.95
_RATES = ("precision", "recall", "f1", "false_positive_rate", "threshold")


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    arguments = parser("harmful", (__doc__ or "").strip()).parse_args(argv)
    path = shared_data() / TWEETS
    found, seconds = measure(path) if path.is_file() else ({}, None)
    rows = [
        Row(name="ROC AUC on held-out tweets", value=found.get("roc_auc"), unit="", target=MIN_ROC_AUC),
        *(Row(name=name.replace("_", " "), value=found.get(name), unit="") for name in _RATES),
        Row(name="false positives", value=_false_positives(found), unit="tweets"),
        Row(name="held-out tweets", value=found.get("num_heldout"), unit="tweets"),
        Row(name="held-out tweets that are harmful", value=found.get("num_heldout_positive"), unit="tweets"),
        Row(name="training and measuring, one thread", value=seconds, unit="s"),
    ]
    return finish("harmful", rows, arguments)


def measure(path: Path) -> tuple[dict[str, Any], float]:
    """What `train_classifier` measured, and the processor seconds that it took."""
    examples = list(read_labels(path, "class", text="tweet", positive=HARMFUL))
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        found = train_classifier(examples, DEFAULT_CONFIG, Path(folder), name="toxic", score=document_scores)
    return found, time.process_time() - start


def _false_positives(found: dict[str, Any]) -> float | None:
    if not found:
        return None
    return round(found["false_positive_rate"] * (found["num_heldout"] - found["num_heldout_positive"]))


if __name__ == "__main__":
    run_command(main)
