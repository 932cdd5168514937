"""Ablations: short trainings of equal budget that differ in one choice.

config    the questions, and what all their runs share
run       a question's trainings, one after the other
report    who won, by how much, and how much of that is luck
"""
