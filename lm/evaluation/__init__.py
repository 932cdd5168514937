"""Evaluation: perplexity, the n-gram baseline, verified answers."""
