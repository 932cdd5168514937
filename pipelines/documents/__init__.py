"""Documents in Arrow: their schema, their tables, their accounts."""
