"""The extractor of real runs, but a page that says `kill: …` does to its process what it says."""

from pipelines.extract import page_text
from tests.pipelines import hostile_functions


def extractor(settings):
    extract, act = page_text.extractor(settings), hostile_functions.factory({})

    def run(response):
        _, found, order = response.partition(b"kill: ")
        if found:
            act(order.removesuffix(b"</p>"))
        return extract(response)

    return run
