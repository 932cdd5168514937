"""The demo crawl: seeded WARC files of an invented world, with the ground truth of every page.

    dice, morphology, grammar, lexicon, clauses, names    how text is generated
    entities, worlds/, problems, personal_data            topics and facts
    body, site, frames, markup, records, exchange         text to HTML to HTTP to WARC
    plan, duplicates, pages                               the kind of each page; a page from its number alone
    truth, tasks, labels, write                           files beside the WARC files
    scoring                                               a pipeline's results against the ground truth

Decisions: nothing is stored, every page is computed from the seed and its number, so a copy makes its original again;
choices draw on one generator whose sequence Python keeps across versions; a text is prose of a grammar with a few
thousand words, so sentences hardly ever repeat. Not covered: PDF and other media, redirects, JavaScript-made pages,
languages in other scripts.
"""

from typing import TYPE_CHECKING

from lm.lazy import load_on_first_use

if TYPE_CHECKING:
    from pipelines.demo_crawl.configuration import DemoCrawlConfig
    from pipelines.demo_crawl.write import publish_demo_crawl, write_demo_crawl

__getattr__ = load_on_first_use(__name__)
