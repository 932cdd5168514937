"""Decontamination: evaluation items leave the corpus."""
