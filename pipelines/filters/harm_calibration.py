"""Training of the harmful-content classifiers, and the choice of their thresholds on pages.

Labels are often short (a tweet has 13 words) and pages long, and the pages of a crawl are unlike both classes of the
labels. So the threshold is chosen twice:

1. At training, pages of 50 to 2,400 words are composed of held-out labelled texts. The floor is the probability that
   one in fifty harmless windows reaches. The threshold is the lowest at which no more than the wanted rate of harmless
   pages of any length are flagged; where the classes lie apart, it is the middle of the gap. Half of the held-out texts
   choose, the other half measure.
2. At judging, the pages of the crawl themselves are scored. With F(t) the share of them that reaches t, H(t) that of
   the composed harmful pages, and r the share of the crawl that is harmful,

       false positive rate(t) = (F(t) - r H(t)) / (1 - r),    r = min over t with H(t) >= 1/2 of upper(F(t)) / H(t)

   where upper(k / n) = (k + sqrt(k)) / n. r is the greatest share of harmful pages that the tail of F allows (Scott,
   Blanchard and Handy 2013, Classification with asymmetric label noise, section 2). A crawl without pages in that tail
   has r = 0, and the rate is the share flagged. The threshold is the lowest at which the rate is the wanted one, from
   half of the labels' threshold on: harmless labelled texts are often nearer to harm than pages are.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.classifiers.fasttext_training import (
    ClassifierConfig,
    Example,
    load_classifier,
    predict_scores,
    split_examples,
    train_classifier,
)
from pipelines.classifiers.metrics import Scores, threshold_for_share
from pipelines.classifiers.model_file import model_file
from pipelines.filters.harmful import MAX_WINDOW_WORDS, MIN_WINDOW_WORDS, HarmScale, document_scores, sentence_windows

PAGE_WORDS = (50, 150, 600, 2400)
"""Lengths of the composed pages."""
HARMFUL_SHARES = (0.5, 1.0)
"""Shares of a composed harmful page that come from harmful texts."""
WANTED_FALSE_POSITIVE_RATE = 0.005
"""Default of the share of harmless pages that may be flagged."""
_FLOOR_SHARE = 0.02
_MOST_FLOOR = 0.99
_LOWEST_THRESHOLD = 0.02
_WANTED_RECALL = 0.95
_NUM_PAGES = 200
_NUM_QUANTILES = 101

Texts = Sequence[str]


def train_harmful_classifiers(
    examples: Mapping[str, Iterable[Example]], config: ClassifierConfig, folder: Path
) -> dict[str, dict[str, Any]]:
    """Train on `(text, is harmful)` by kind of harm and write `folder/KIND.bin` for each.

    Returns by kind the summary of `train_classifier`, on single labelled texts, with the calibration on pages made of
    held-out texts (`calibrate`) beside it.

    Raises:
        InputError: a class is missing.
    """
    found = {}
    for kind, rows in examples.items():
        labelled = list(rows)
        summary = train_classifier(labelled, config, folder, name=kind)
        model = load_classifier(str(folder / model_file(kind)), summary["model_sha256"])
        found[kind] = {**summary, **calibrate(model, labelled, summary["threshold"], config)}
    return found


def calibrate(
    model: Any, examples: Sequence[Example], label_threshold: float, config: ClassifierConfig
) -> dict[str, Any]:
    """Choose the scale and the threshold on pages composed of held-out examples.

    Returns `window_words`, `floor`, `page_threshold`, `by_length` (the false positive rate and the recall of composed
    pages of each length, on texts that did not choose) and `harmful_page_scores` (quantiles over the composed harmful
    pages). Where `config` wants a precision or a share on the labels, the floor is `label_threshold`.
    """
    _, heldout = split_examples(examples, config.heldout_share)
    window_words = int(np.median([len(text.split()) for text, _ in heldout]))
    window_words = min(MAX_WINDOW_WORDS, max(MIN_WINDOW_WORDS, window_words))
    harmful, harmless = ([text for text, label in heldout if label is wanted] for wanted in (True, False))
    floor = min(_MOST_FLOOR, label_threshold)
    if not config.is_threshold_wanted:
        windows = [window for text in harmless for window in sentence_windows(text, window_words)]
        floor = max(min(0.5, floor), threshold_for_share(predict_scores(model, windows), _FLOOR_SHARE))
    scale = HarmScale(window_words=window_words, floor=min(_MOST_FLOOR, floor))
    choosing = [_page_scores(model, harmful[::2], harmless[::2], words, scale) for words in PAGE_WORDS]
    measuring = [_page_scores(model, harmful[1::2], harmless[1::2], words, scale) for words in PAGE_WORDS]
    threshold = max(_LOWEST_THRESHOLD, *(_threshold(*scores) for scores in choosing))
    all_harmful = np.concatenate([scores for scores, _ in measuring])
    return {
        "window_words": window_words,
        "floor": scale.floor,
        "page_threshold": threshold,
        "by_length": [
            {
                "page_words": words,
                "recall": float((positive >= threshold).mean()),
                "false_positive_rate": float((negative >= threshold).mean()),
            }
            for words, (positive, negative) in zip(PAGE_WORDS, measuring, strict=True)
        ],
        "harmful_page_scores": np.quantile(all_harmful, np.linspace(0, 1, _NUM_QUANTILES)).tolist(),
    }


def crawl_threshold(crawl: Scores, harmful: Scores, wanted_rate: float, page_threshold: float) -> float:
    """Return the lowest threshold that flags at most `wanted_rate` of the crawl's harmless pages. The threshold is at
    least half of the `page_threshold` from training; without pages it is the `page_threshold`.

    `crawl` are the scores of the crawl's pages, `harmful` those of pages known to be harmful.
    """
    if crawl.size == 0:
        return page_threshold
    lowest = max(_LOWEST_THRESHOLD, page_threshold / 2)
    thresholds = np.unique([lowest, *crawl, *harmful, *np.nextafter(crawl, np.inf)])
    num_flagged = crawl.size - np.searchsorted(np.sort(crawl), thresholds)
    recall = 1 - np.searchsorted(np.sort(harmful), thresholds) / max(1, harmful.size)
    flagged, upper = num_flagged / crawl.size, (num_flagged + np.sqrt(num_flagged)) / crawl.size
    likely = recall >= 0.5
    share = min(0.5, float(np.min(upper[likely] / recall[likely], initial=0.5)))
    is_enough = (thresholds >= lowest) & (flagged - share * recall <= wanted_rate * (1 - share))
    return float(thresholds[np.argmax(is_enough)])


def _threshold(harmful: Scores, harmless: Scores) -> float:
    """Return the lowest score that no more than the wanted rate of `harmless` reach, or the middle of the gap
    above it.
    """
    ordered = np.sort(harmless)[::-1]
    above = float(ordered[min(len(ordered) - 1, int(WANTED_FALSE_POSITIVE_RATE * len(ordered)))])
    reached = threshold_for_share(harmful, _WANTED_RECALL)
    return max(float(np.nextafter(above, np.inf)), (above + reached) / 2)


def _page_scores(
    model: Any, harmful: Texts, harmless: Texts, num_words: int, scale: HarmScale
) -> tuple[Scores, Scores]:
    """Return the scores of harmful and of harmless pages of `num_words`."""
    chooser = random.Random(num_words)
    bad = [
        _page(chooser, harmful, harmless, num_words, share)
        for share in HARMFUL_SHARES
        for _ in range(_NUM_PAGES // len(HARMFUL_SHARES))
    ]
    good = [_page(chooser, harmful, harmless, num_words, 0.0) for _ in range(_NUM_PAGES)]
    return document_scores(model, bad, scale), document_scores(model, good, scale)


def _page(chooser: random.Random, harmful: Texts, harmless: Texts, num_words: int, share: float) -> str:
    """Return a page of `num_words`, the `share` of which comes from `harmful` texts, each on a line, in random
    order.
    """
    lines = []
    for texts, wanted in ((harmful, round(share * num_words)), (harmless, num_words - round(share * num_words))):
        while wanted > 0:
            words = chooser.choice(texts).split()[:wanted]
            wanted -= max(1, len(words))
            lines.append(" ".join(words))
    chooser.shuffle(lines)
    return "\n".join(lines)
