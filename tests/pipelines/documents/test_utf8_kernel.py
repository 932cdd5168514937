"""Code points out of UTF-8 bytes, as Python has them."""

import numpy as np

from pipelines.documents.utf8_kernel import decode


def test_code_points_of_every_length():
    text = "a\x7f\x80é߿ࠀ€\uffff\U00010000😀\U0010ffff"
    data, position, found = np.frombuffer(text.encode(), np.uint8), 0, []
    while position < data.size:
        code, position = decode(data, position)
        found.append(int(code))
    assert found == list(map(ord, text))
