"""The rows of several tables together: each distinct content once, and what else is asked of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from blake3 import blake3

from dsvc.model.paths import display_path
from dsvc.policy.detectors.table_texts import CONTENT, Cells, Unjudged, role_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.policy.detectors.detector import ScannedTable

    Numbers = NDArray[np.int64]

MAX_CHARACTERS: Final = 1 << 30
"""Characters of distinct texts that are held in memory at most."""


class Values:
    """Texts, each of which has a number from the first time it was seen."""

    def __init__(self) -> None:
        self._numbers: dict[str | bytes, int] = {}

    def number(self, value: str | bytes) -> int:
        """Give the number of a text, a new one where it is new."""
        return self._numbers.setdefault(value, len(self._numbers))

    def known(self) -> list[str]:
        """Texts in the order of their numbers."""
        return [value if isinstance(value, str) else "" for value in self._numbers]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._numbers)


class RowTexts:
    """Rows of tables, one after another.

    Parameters
    ----------
    files : sequence of ScannedTable
        The tables.
    roles : mapping of str to sequence of str
        Columns by the part that they play; ``content`` is among them.
    max_texts : int
        How many distinct contents there may be.
    keep_texts : bool
        Whether the contents themselves are wanted, or only which are equal.

    Attributes
    ----------
    content : ndarray of int64
        For each row the number of its content, -1 where it has none.
    texts : list of str
        Contents by number, normalised; empty texts where they aren't kept.
    by_role : dict of str to ndarray of int64
        For each other part and row the number of the value there, -1 where there is none.
    values : dict of str to list of str
        Values by part and number.
    starts : ndarray of int64
        First row of each table; at last the number of rows.

    Raises
    ------
    Unjudged
        If a table can't be read, lacks a column, or there is more than is held in memory.
    """

    def __init__(
        self,
        files: Sequence[ScannedTable],
        roles: Mapping[str, Sequence[str]],
        *,
        max_texts: int,
        keep_texts: bool = True,
    ) -> None:
        self._files = files
        self._max_texts = max_texts
        self._keeps = keep_texts
        self._characters = 0
        seen = {role: Values() for role in roles}
        numbers: dict[str, list[Numbers]] = {role: [] for role in roles}
        starts = [0]
        for file in files:
            count = 0
            for rows, cells in role_batches(file, roles):
                count += rows
                for role, texts in cells.items():
                    add = self._contents if role == CONTENT else _plain
                    numbers[role].append(add(texts, seen[role]))
            starts.append(starts[-1] + count)
        self.starts: Numbers = np.array(starts, np.int64)
        whole = {role: np.concatenate([np.empty(0, np.int64), *parts]) for role, parts in numbers.items()}
        self.content: Numbers = whole.pop(CONTENT)
        self.texts = seen.pop(CONTENT).known()
        self.by_role: dict[str, Numbers] = whole
        self.values = {role: values.known() for role, values in seen.items()}

    def __len__(self) -> int:
        """Number of rows."""
        return int(self.starts[-1])

    @property
    def file_of(self) -> Numbers:
        """For each row the number of its table."""
        return np.repeat(np.arange(len(self._files)), np.diff(self.starts))

    def record(self, row: int) -> int:
        """Number of a row in its table, from 0."""
        return row - int(self.starts[self._file(row)])

    def place(self, row: int) -> str:
        """Name a row for people: its record, and its table where there are several."""
        if len(self._files) == 1:
            return str(row)
        return f"{display_path(self._files[self._file(row)].path)}:{self.record(row)}"

    def _file(self, row: int) -> int:
        return int(np.searchsorted(self.starts, row, "right")) - 1

    def _contents(self, texts: Cells, seen: Values) -> Numbers:
        before = len(seen)
        found = np.empty(len(texts), np.int64)
        for place, text in enumerate(texts):
            if text is None:
                found[place] = -1
                continue
            found[place] = seen.number(text if self._keeps else blake3(text.encode(*_LENIENT)).digest(16))
            if len(seen) > before:
                before = len(seen)
                self._characters += len(text) if self._keeps else 0
        if len(seen) > self._max_texts or self._characters > MAX_CHARACTERS:
            raise Unjudged(f"there are more than {self._max_texts} different texts, or they are too long")
        return found


_LENIENT: Final = ("utf-8", "surrogatepass")


def _plain(texts: Cells, seen: Values) -> Numbers:
    return np.fromiter((-1 if text is None else seen.number(text) for text in texts), np.int64, len(texts))


__all__ = ["MAX_CHARACTERS", "RowTexts", "Values"]
