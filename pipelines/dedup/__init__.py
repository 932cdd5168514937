"""Deduplication: by URL, by text, by line, and near-duplicates by MinHash and LSH."""

from pipelines.dedup.exact import deduplicate_lines
from pipelines.dedup.minhash import signatures
from pipelines.dedup.texts import deduplicate

__all__ = ["deduplicate", "deduplicate_lines", "signatures"]
