"""Scaling laws: loss as a function of compute, and compute-optimal training for a budget."""
