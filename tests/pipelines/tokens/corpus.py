"""Texts of a small corpus, some of them hostile, for tests."""

TEXTS = [f"Document {i} tells of {'rivers and towns ' * (i % 7)}— ¿qué? 👍 {i * 37}" for i in range(120)]
HOSTILE = ["<|endoftext|>", "", "\x00\n\r\t", "a<|user|>b<|end|>", "é" * 500]
