"""Tokens: the corpus as shards of token ids, and the mixture that a training reads."""
