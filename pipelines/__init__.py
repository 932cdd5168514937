"""Data pipeline: web records in, clean and deduplicated documents out. Imports neither dagster nor, at import time,
torch.
"""
