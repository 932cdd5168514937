"""Near-duplicates by configuration: recall of planted edits in real texts, and wrong merges.

The texts are the real pages of `html_snippets` and `html_truth` of at least 100 words. Each edit changes a share of a
page's words: a block (a run of words inserted, deleted or replaced by words of another page) or scattered words
(each replaced by a word of any page). A merge is wrong if it joins two different pages with one planted template: the
same words around different content, as on pages of one site. Rows are the joined shares of 300 pairs.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.report import Row, finish, parser
from benchmarks.shared_data import shared_data
from benchmarks.web.real_pages import real_pages
from lm.errors import run_command
from pipelines.dedup import minhash, minhash_reference
from pipelines.dedup.minhash import MinHashConfig
from pipelines.dedup.minhash_config import preset

Pair = tuple[str, str]

CONFIGS: Mapping[str, MinHashConfig] = {
    "default": MinHashConfig(),
    "threshold .5": MinHashConfig(jaccard_threshold=0.5),
    "threshold .65": MinHashConfig(jaccard_threshold=0.65),
    "5-grams": MinHashConfig(ngram=5),
    "5-grams, .5": MinHashConfig(ngram=5, jaccard_threshold=0.5),
    "fineweb": preset("fineweb"),
    "fineweb, verified at .8": MinHashConfig(num_hashes=112, num_bands=14, ngram=5, jaccard_threshold=0.8),
}
BLOCKS = (0.05, 0.1, 0.15, 0.2, 0.3)
SCATTERED = (0.01, 0.02, 0.05, 0.1, 0.15)
TEMPLATES = (0.3, 0.5, 0.6, 0.7, 0.8)
_NUM_PAIRS = 300
_MIN_WORDS = 100


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("minhash_edits", (__doc__ or "").strip())
    arguments = options.parse_args(argv)
    pages = list(real_pages(shared_data().joinpath)) if (shared_data() / "html_snippets").is_dir() else []
    texts = sorted({page.text for page in pages if len(page.text.split()) >= _MIN_WORDS})
    return finish("minhash_edits", rows(texts), arguments)


def rows(texts: Sequence[str]) -> Iterator[Row]:
    """Yield the share of pairs joined, for every kind of pair and configuration."""
    pairs = planted(texts, random.Random(0)) if texts else {}
    for name, config in CONFIGS.items():
        for kind, found in pairs.items():
            yield Row(name=f"{name}: {kind}", value=float(joined(found, config).mean()), unit="of pairs")
        if texts:
            yield Row(name=f"{name}: pages of the corpus", value=_removed(texts, config), unit="removed")


def planted(texts: Sequence[str], chooser: random.Random) -> dict[str, list[Pair]]:
    """Return pairs of a page and its edit, or of two pages of one template, by kind and strength."""
    words = [word for text in texts for word in text.split(" ")]
    found = {}
    for share in BLOCKS:
        found[f"block of {share:.0%}"] = [_block(chooser, texts, words, share) for _ in range(_NUM_PAIRS)]
    for share in SCATTERED:
        found[f"scattered {share:.0%}"] = [_scattered(chooser, texts, words, share) for _ in range(_NUM_PAIRS)]
    for share in TEMPLATES:
        found[f"template of {share:.0%}"] = [_templates(chooser, texts, words, share) for _ in range(_NUM_PAIRS)]
    found["other page"] = list(itertools.pairwise(texts))
    return found


def joined(pairs: Sequence[Pair], config: MinHashConfig) -> npt.NDArray[np.bool_]:
    """Return whether each pair shares a band key and reaches the threshold."""
    texts = pa.array([text for pair in pairs for text in pair], pa.large_string())
    keys = minhash.bands(minhash.sign(texts, config), config).keys
    met = (keys[:, ::2] == keys[:, 1::2]).any(axis=0)
    alike = [minhash_reference.jaccard(*pair, config.ngram) >= config.jaccard_threshold for pair in pairs]
    found: npt.NDArray[np.bool_] = met & np.array(alike)
    return found


def _removed(texts: Sequence[str], config: MinHashConfig) -> float:
    """Return the share of the original pages that are removed as near-duplicates."""
    from pipelines.dedup.texts import deduplicate

    found = deduplicate(
        texts,
        num_hashes=config.num_hashes,
        num_bands=config.num_bands,
        ngram=config.ngram,
        jaccard_threshold=config.jaccard_threshold,
    )
    return float(1 - found.kept.mean())


def _run(chooser: random.Random, words: Sequence[str], length: int) -> list[str]:
    start = chooser.randrange(len(words) - length)
    return list(words[start : start + length])


def _block(chooser: random.Random, texts: Sequence[str], words: Sequence[str], share: float) -> Pair:
    own = chooser.choice(texts).split(" ")
    length = max(1, round(share * len(own)))
    start = chooser.randrange(len(own) - length + 1)
    kind = chooser.choice(("replaced", "inserted", "deleted"))
    between = [] if kind == "deleted" else _run(chooser, words, length)
    return " ".join(own), " ".join([*own[:start], *between, *own[start + (0 if kind == "inserted" else length) :]])


def _scattered(chooser: random.Random, texts: Sequence[str], words: Sequence[str], share: float) -> Pair:
    own = chooser.choice(texts).split(" ")
    places = set(chooser.sample(range(len(own)), max(1, round(share * len(own)))))
    return " ".join(own), " ".join(chooser.choice(words) if i in places else word for i, word in enumerate(own))


def _templates(chooser: random.Random, texts: Sequence[str], words: Sequence[str], share: float) -> Pair:
    left, right = (text.split(" ") for text in chooser.sample(texts, 2))
    length = min(len(left), len(right))
    shared = _run(chooser, words, round(share / (1 - share) * length))
    half = len(shared) // 2
    first, second = (" ".join([*shared[:half], *own[:length], *shared[half:]]) for own in (left, right))
    return first, second


if __name__ == "__main__":
    run_command(main)
