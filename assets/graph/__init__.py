"""Dagster assets and asset checks, by domain."""
