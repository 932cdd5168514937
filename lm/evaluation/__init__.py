"""How good a model is: perplexity, n-gram yardstick, tasks."""
