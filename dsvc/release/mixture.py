"""What a release is mixed of: rows, bytes and weight by source and by type, and how much is synthetic.

A row that comes from several sources, as after a join, counts once, under all of them together; so rows add
up. Of a file that is no table the file itself is the row: a record of a folder is a file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec


class Part(NamedTuple):
    """Rows of one file that come from the same sources.

    Attributes
    ----------
    file : bytes
        Its path.
    rows : int
    sources : tuple of str
        By id; empty where that isn't known.
    type : str
        What it holds: a modality that the sources state, else the kind of the file.
    synthetic : bool or None
        None: not known.
    """

    file: bytes
    rows: int
    sources: tuple[str, ...]
    type: str
    synthetic: bool | None = None


class MixtureLine(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the whole.

    Attributes
    ----------
    of : tuple of str
        Ids of sources, or one type.
    rows, bytes : int
    weight : float
        Share of all rows; where there are none, of all bytes.
    """

    of: tuple[str, ...]
    rows: int
    bytes: int
    weight: float


class Mixture(msgspec.Struct, frozen=True, kw_only=True):
    """What a release is mixed of.

    Attributes
    ----------
    rows, bytes : int
        Of the whole.
    by_source, by_type : tuple of MixtureLine
        Each adds up to the whole.
    synthetic_rows : int
        Rows that are synthetic.
    unknown_rows : int
        Rows of which nothing says whether they are.
    """

    rows: int = 0
    bytes: int = 0
    by_source: tuple[MixtureLine, ...] = ()
    by_type: tuple[MixtureLine, ...] = ()
    synthetic_rows: int = 0
    unknown_rows: int = 0

    @property
    def synthetic_share(self) -> float | None:
        """Share of the rows that are synthetic; None where that isn't known of all."""
        if self.unknown_rows:
            return None
        return self.synthetic_rows / self.rows if self.rows else 0.0


def apportion(total: int, shares: Sequence[int]) -> list[int]:
    """Divide a number into parts by shares, exactly: what is left over goes to the largest remainders."""
    whole = sum(shares)
    if not whole:
        return [total, *(0 for _ in shares[1:])] if shares else []
    parts = [total * share // whole for share in shares]
    order = sorted(range(len(shares)), key=lambda place: (-(total * shares[place] % whole), place))
    for place in order[: total - sum(parts)]:
        parts[place] += 1
    return parts


def mix(parts: Iterable[Part], sizes: dict[bytes, int]) -> Mixture:
    """Add up what a release is mixed of.

    Parameters
    ----------
    parts : iterable of Part
        All of every file; a file of several parts shares its bytes by rows.
    sizes : dict of bytes to int
        Bytes of each file, by path.

    Raises
    ------
    KeyError
        If a part is of a file whose size is not given.
    """
    of_file: dict[bytes, list[Part]] = defaultdict(list)
    for part in parts:
        of_file[part.file].append(part._replace(sources=tuple(sorted(set(part.sources)))))
    weighed: list[tuple[Part, int]] = []
    for path in sorted(of_file):
        listed = sorted(of_file[path], key=lambda part: (part.sources, part.type, str(part.synthetic)))
        weighed += zip(listed, apportion(sizes[path], [part.rows for part in listed]), strict=True)
    rows = sum(part.rows for part, _ in weighed)
    size = sum(each for _, each in weighed)
    return Mixture(
        rows=rows,
        bytes=size,
        by_source=_lines(weighed, lambda part: part.sources, rows, size),
        by_type=_lines(weighed, lambda part: (part.type,), rows, size),
        synthetic_rows=sum(part.rows for part, _ in weighed if part.synthetic),
        unknown_rows=sum(part.rows for part, _ in weighed if part.synthetic is None),
    )


def _lines(
    weighed: Iterable[tuple[Part, int]], key: Callable[[Part], tuple[str, ...]], rows: int, size: int
) -> tuple[MixtureLine, ...]:
    found: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
    for part, share in weighed:
        counts = found[key(part)]
        counts[0] += part.rows
        counts[1] += share
    return tuple(
        MixtureLine(
            of=name,
            rows=count,
            bytes=share,
            weight=count / rows if rows else share / size if size else 0.0,
        )
        for name, (count, share) in sorted(found.items())
    )
