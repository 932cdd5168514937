"""Rewards below inference, evaluation and alignment: answers out of responses, and their verification.

    answer_line  the house's answer, `#### <number>` in the last line

Import what you need from its module; this package imports nothing by itself.
"""
