"""`python -m pipelines.trace URL_or_doc_id`."""

from pipelines.trace.trace import command

if __name__ == "__main__":
    command()
