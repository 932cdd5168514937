"""Fused operations, each beside or held to its plain reference."""
