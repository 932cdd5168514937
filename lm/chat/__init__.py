"""Chat below inference, evaluation and alignment: templates by ids, and the records of exchanges.

    template     messages to ids by templates as data, and which tokens are learned
    records      instructions, preferences and problems from JSON Lines
    layouts      the same from data as it is published: messages, Alpaca, GSM8K, HH, votes
    votes        votes on answers, and the preferences that they make

Import what you need from its module; this package imports nothing by itself.
"""
