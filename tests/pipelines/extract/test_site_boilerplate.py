"""What the pages of one site share at their edges, page by page and through a whole partition."""

import random

import pytest

from pipelines.extract.partition import extract_partition
from pipelines.extract.records import ExtractConfig
from pipelines.extract.site_boilerplate import SiteLines
from tests.pipelines import warc_making as making
from tests.pipelines.published import rows_of

NOTICE, IMPRINT = "All week long we mow.", "Fence Weekly, Gate Street 1"


def article(number, num=4):
    return [f"Line {i} of article {number} tells of fences, sheep and rain." for i in range(num)]


def spans(pages, min_pages=3):
    lines = SiteLines()
    lines.add([url for url, _ in pages], ["\n".join(page) for _, page in pages])
    return lines.spans(min_pages)


def framed(number, host="a.example", middle=()):
    return f"https://{host}/{number}", [NOTICE, *article(number), *middle, *article(-number - 1), IMPRINT]


def test_edges_that_a_site_shares_go_and_its_middle_stays():
    pages = [framed(number, middle=["Ingredients"]) for number in range(3)]
    assert spans(pages) == {0: (1, 10), 1: (1, 10), 2: (1, 10)}
    assert spans(pages[:2]) == {}
    assert spans(pages[:2], min_pages=2) == {0: (1, 10), 1: (1, 10)}


def test_other_sites_and_equal_texts_do_not_count():
    two = [framed(0), framed(1)]
    assert spans([*two, framed(2, host="b.example")]) == {}
    assert spans([*two, ("https://a.example/copy", framed(1)[1])]) == {}


def test_a_line_of_few_of_many_pages_is_no_furniture():
    pages = [framed(number) for number in range(3)]
    others = [(f"https://a.example/other/{number}", article(100 + number)) for number in range(13)]
    assert len(spans([*pages, *others[:12]])) == 3
    assert spans([*pages, *others]) == {}


def test_copies_of_a_page_lose_nothing():
    copies = [(f"https://a.example/{i}", [f"Page {i}", *article(0, 9)]) for i in range(5)]
    assert spans(copies) == {}


def test_the_order_of_pages_changes_nothing():
    pages = [framed(number, host=f"{number % 3}.example") for number in range(14)]
    found = {pages[page][0]: span for page, span in spans(pages).items()}
    assert len(found) == 14
    random.Random(0).shuffle(pages)
    assert {pages[page][0]: span for page, span in spans(pages).items()} == found


def test_odd_addresses_and_no_pages():
    assert spans([]) == {}
    assert spans([("http://[", ["x"]), ("", [""]), ("no address", ["x"])]) == {}


@pytest.mark.parametrize("min_pages", [3, 0])
def test_a_partition_is_cut_and_counted(tmp_path, min_pages):
    def html(number):
        return "".join(f"<p>{line}</p>" for line in framed(number)[1]).encode()

    records = [making.record(making.response(html(number)), number=number) for number in range(4)]
    file = making.write(tmp_path / "x.warc.gz", *making.members(records))
    made = extract_partition([file], "demo/g0000", tmp_path / "out", ExtractConfig(min_site_pages=min_pages))
    texts = [row["text"] for row in rows_of(made)]
    assert all((NOTICE in text or IMPRINT in text) == (min_pages == 0) for text in texts)
    assert made.summary.get("num_site_lines", 0) == (8 if min_pages else 0)
    assert made.summary["text_bytes_kept"] == sum(len(text.encode()) for text in texts)
    changed = ["texts.parquet"] if min_pages else []
    assert sorted(made.files) == ["documents.parquet", "losses.parquet", "removals.parquet", *changed]
