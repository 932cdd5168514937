"""Worlds: one module for each kind of page, each a function from the invented world and dice to a body."""
