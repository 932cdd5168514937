"""Texts in many scripts, and words at random, for tests."""

import random

from pipelines.dedup.minhash_config import MinHashConfig

CONFIG = MinHashConfig(num_hashes=128, num_bands=16, ngram=3)
TEXTS = [
    "The quick brown fox jumps over the lazy dog, again and again.",
    "Čtyři žluťoučké kočky — a ještě jedna! Ω ÉCOLE naïve ﬁne İstanbul",
    "한국어 문장은 여러 낱말로 이루어져 있다 그리고 길다",
    "emoji 👍🏽 and a\u200dzero width\xadsoft hyphen\u00a0no-break\u2028line separator",
    "one two three four five",
    "Ὀδυσσεύς ἄνδρα μοι ἔννεπε Μοῦσα ΠΟΛΎΤΡΟΠΟΝ ὃς μάλα πολλὰ",
    "Ｆｕｌｌｗｉｄｔｈ 𝐁𝐨𝐥𝐝 𝒮cript ǅ ß ẞ Å ﬃ 豈 更 車",
]


def words(seed, count, vocabulary=50_000):
    generator = random.Random(seed)
    return [f"w{generator.randrange(vocabulary)}" for _ in range(count)]
