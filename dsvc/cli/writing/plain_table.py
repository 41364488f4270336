"""A table of texts in columns, without lines between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsvc.cli.writing.sizes import width


def table_lines(head: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> Iterator[str]:
    """Yield the lines of a table; `right`: columns that are set flush right."""
    widths = [max(map(width, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = []
        for number, (text, cell_width) in enumerate(zip(row, widths, strict=True)):
            blank = " " * (cell_width - width(text))
            cells.append(blank + text if number in right else text + blank)
        yield "  ".join(cells).rstrip()
