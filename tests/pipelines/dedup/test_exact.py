"""Exact duplicates: documents and lines."""

import numpy as np
import pyarrow as pa
import pytest

from pipelines.dedup.exact import TextGroups, deduplicate_lines, hash_text, hash_texts, repeated, url_key


def test_every_copy_of_a_repeated_line_goes():
    texts = ["menu\nfirst story\nfooter", "menu\nsecond story\nfooter\n", "third story"]
    assert deduplicate_lines(texts) == ["first story", "second story\n", "third story"]


def test_lines_repeated_within_one_text_go_too():
    assert deduplicate_lines(["a\na\nb"]) == ["b"]
    assert deduplicate_lines(["a\na\nb"], keep="first") == ["a\nb"]


def test_the_first_copy_may_stay():
    texts = ["menu\nfirst story\nfooter", "menu\nsecond story\nfooter\n", "third story"]
    assert deduplicate_lines(texts, keep="first") == ["menu\nfirst story\nfooter", "second story\n", "third story"]


def test_lines_are_compared_whole():
    texts = ["Hello \n", "hello\n", "Hello\r\n", ""]
    assert deduplicate_lines(texts) == texts


@pytest.mark.parametrize("keep", ["none", "first"])
def test_what_repeats_nothing_is_untouched(keep):
    texts = ["", "one\n\nthree\n", "two", "\N{LINE SEPARATOR}not a line end\x0bnor this\n"]
    assert deduplicate_lines(texts, keep=keep) == texts


def test_a_text_whose_lines_all_go_is_empty():
    assert deduplicate_lines(["a\nb\n", "b\na\n"]) == ["", ""]


def test_groups_name_the_first_index():
    groups = TextGroups()
    assert [groups.add(index, text) for index, text in ((7, "x"), (9, "y"), (12, "x"), (13, "X"), (14, ""))] == [
        7,
        9,
        7,
        13,
        14,
    ]


def test_a_column_has_the_hashes_of_its_texts():
    texts = ["", "one", "größer", "😀"]
    column = pa.array(["before", *texts, "behind"], pa.large_string()).slice(1, len(texts))
    assert hash_texts(column).tolist() == [hash_text(text) for text in texts]
    assert hash_texts(column.slice(0, 0)).tolist() == []


def test_only_repeated_hashes_are_worth_comparing():
    assert repeated(np.array([5, 7, 5, 9, 9], np.uint64)).tolist() == [True, False, True, True, True]
    assert repeated(np.empty(0, np.uint64)).size == 0


def test_fragments_are_no_part_of_an_address():
    assert url_key("https://a.org/x?q=1#top") == url_key("https://a.org/x?q=1") != url_key("https://a.org/x")
    for anchor in ("#", "#/", "#!", "#!/", "#a/b", "#page=2", "#:~:text=a"):
        assert url_key(f"https://a.org/x{anchor}") == "https://a.org/x"


@pytest.mark.parametrize("route", ["#/gates", "#!/gates", "#!gates", "#/gates?id=1", "#/1"])
def test_routes_of_programs_are_pages(route):
    assert url_key(f"https://a.org/x{route}") == f"https://a.org/x{route}"
