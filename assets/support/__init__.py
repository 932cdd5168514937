"""Shared code of the assets: configuration, errors, metadata, child processes."""
