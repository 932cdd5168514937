"""Scaling laws: how loss follows compute, and what to train for a budget."""
