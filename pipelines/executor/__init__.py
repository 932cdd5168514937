"""Executors: a function over partitions, on this machine or on a Ray cluster."""
