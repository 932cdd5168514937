"""Chat below inference, evaluation and alignment: templates by ids, and the records of exchanges.

    template     messages to ids, and which tokens are learned from
    records      instructions, preferences and problems from JSON Lines

Import what you need from its module; this package imports nothing by itself.
"""
