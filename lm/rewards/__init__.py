"""Rewards below inference, evaluation and alignment: answers out of responses, and their verification.

    functions    any `reward_fn(response, truth) -> dict`, checked
    verifiers    reward functions by name
    answer_line  the house's answer, `#### <number>` in the last line
    parsers      the last number, `#### n`, boxed answers, letters, think and answer
    mathematics  answers of mathematics, compared exactly by a grammar of their own
    pattern      regular expressions, bounded in time
    code         programs by unit tests, in a confined child

Import what you need from its module; this package imports nothing by itself.
"""
