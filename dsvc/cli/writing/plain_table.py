"""Texts in columns, without lines between them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from dsvc.cli.writing.sizes import width


def padded(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> Iterator[list[str]]:
    """Yield the cells of each row, as wide as the widest of their column; nothing where there are no rows.

    Parameters
    ----------
    rows : sequence of sequence of str
        Texts without colours, as many in each row.
    right : collection of int
        Columns that are set flush right.
    """
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = []
        for number, (text, cell_width) in enumerate(zip(row, widths, strict=True)):
            blank = " " * (cell_width - width(text))
            cells.append(blank + text if number in right else text + blank)
        yield cells


def column_lines(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> Iterator[str]:
    """Yield the lines of rows whose cells stand below each other, as `padded` has them."""
    for cells in padded(rows, right):
        yield "  ".join(cells).rstrip()
