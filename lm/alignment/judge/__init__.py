"""A language model as judge: which of two answers to a prompt is the better one.

    config       the endpoint, its limits and the criteria
    prompt       the question as a template, and the verdict in a reply
    endpoint     calls of an OpenAI-compatible server, with retries
    comparisons  both orders of every two answers, kept for the next run

Import what you need from its module; this package imports nothing by itself.
"""
