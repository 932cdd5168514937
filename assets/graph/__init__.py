"""Assets and their checks, by domain."""
