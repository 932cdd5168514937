"""Documents in Arrow: schema, tables, verdicts and accounts."""
