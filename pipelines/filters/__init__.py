"""Filters: stages that keep, remove or mask documents."""
