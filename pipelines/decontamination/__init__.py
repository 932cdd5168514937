"""Decontamination: removal of evaluation items from the corpus."""
