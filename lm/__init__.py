"""The model: storage, token shards, tokenizer, Transformer, training, alignment, evaluation. Never imports dagster or
pipelines."""

__version__ = "0.1.0"
