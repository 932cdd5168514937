"""The demo crawl: WARC files of an invented world, made from a seed, with the truth about every page beside them.

    dice, morphology, grammar, lexicon, clauses, names    how text is generated
    entities, worlds/, problems, personal_data            what it is about
    body, site, frames, markup, records, exchange         text to HTML to HTTP to WARC
    plan, duplicates, pages                               which page is what; a page from its number alone
    truth, tasks, labels, write                           what lies beside the WARC files
    scoring                                               what a pipeline made of it, held against the truth

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
