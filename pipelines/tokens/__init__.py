"""Tokens: the corpus as shards of token ids, and the training mixture."""
