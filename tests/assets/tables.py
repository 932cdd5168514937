"""Tables in metadata, read back."""

import html
import json
import re

import dagster as dg


def rows_of(table):
    """The rows of a table of `plots.table`, also of a wide one, which is Markdown."""
    if isinstance(table, dg.TableMetadataValue):
        return [record.data for record in table.records]
    head, _, *lines = (line[2:-2].split(" | ") for line in table.value.splitlines())
    names = [name.replace(" ", "_") for name in head]
    return [dict(zip(names, map(plain, line), strict=True)) for line in lines]


def plain(cell):
    """What a cell of Markdown shows: a number, or a text."""
    text = html.unescape(re.sub(r"\\(.)", r"\1", cell)).replace(" ⏎ ", "\n")
    try:
        return json.loads(text.replace(",", ""))
    except ValueError:
        return text
