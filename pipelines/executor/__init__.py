"""Executors: a function over partitions, on this machine or a Ray cluster."""
