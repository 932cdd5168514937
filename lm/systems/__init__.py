"""Measurements of this machine: rates, kernels, attention, and ranks that train together."""
