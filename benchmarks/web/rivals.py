"""Rival extractors: a bare loop, trafilatura, and datatrove's pipeline for FineWeb."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

_TRAFILATURA_NEEDS = ("trafilatura", "lxml_html_clean")
_DATATROVE_NEEDS = (*_TRAFILATURA_NEEDS, "datatrove", "warcio", "cchardet", "magic", "spacy")


def bare_loop(path: Path) -> int:
    """Run fastwarc and resiliparse alone, without digests, limits, accounts or child; return the number of pages."""
    num_pages = 0
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            bare_text(record.reader.read())
            num_pages += 1
    return num_pages


def bare_text(html: bytes) -> str:
    """Return resiliparse's main content of a page, in the charset that it detects."""
    text: str = extract_plain_text(bytes_to_str(html, detect_encoding(html) or "utf-8"), main_content=True)
    return text


def trafilatura_text() -> Callable[[bytes], str] | None:
    """Return trafilatura's text of a page, without comments; None where it is not installed."""
    if not _are_installed(_TRAFILATURA_NEEDS):
        return None
    import trafilatura

    return lambda html: trafilatura.extract(html, include_comments=False) or ""


def datatrove_pipeline() -> Callable[[Path, Path], None] | None:
    """Return datatrove's pipeline from the WARC file `path` to Parquet below `folder`; None where it is not installed.

    The steps are those of its own example for FineWeb that run offline: no list of addresses, no language model to
    download, and neither deduplication nor masks, which the refinery that it is compared with does besides.
    """
    if not _are_installed(_DATATROVE_NEEDS):
        return None
    try:
        import magic  # noqa: F401 - its wheel comes without the C library that it needs
    except ImportError:
        return None
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )
    from datatrove.pipeline.readers import WarcReader
    from datatrove.pipeline.writers import ParquetWriter

    def run(path: Path, folder: Path) -> None:
        steps = [
            WarcReader(str(path.parent), glob_pattern=path.name),
            Trafilatura(favour_precision=True),
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            C4QualityFilter(filter_no_terminal_punct=False),
            FineWebQualityFilter(),
            ParquetWriter(str(folder / "output")),
        ]
        executor = LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=str(folder / "logs"))
        with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):  # it reports every step where our bar is
            executor.run()

    return run


def _are_installed(modules: tuple[str, ...]) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in modules)
