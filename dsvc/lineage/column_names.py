"""Columns of an input as an output has them, and the key by which rows of one are found in the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dsvc.lineage.record_rows import RecordRows


class KeyColumns(NamedTuple):
    """Key columns, by their names in the input and in the output."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class ColumnNames:
    """What an input's columns are called in an output.

    Parameters
    ----------
    rows, output : RecordRows
        The input and the output.
    renamed : mapping of str to str
        Old names to new ones; such a one counts where both sides have it.

    Attributes
    ----------
    names : dict of str to (str or None)
        By column of the input; None where the output doesn't have it.
    """

    def __init__(self, rows: RecordRows, output: RecordRows, renamed: Mapping[str, str]) -> None:
        there = set(output.columns)
        by_rename = {old: renamed[old] for old in rows.columns if renamed.get(old) in there}
        taken = set(by_rename.values())
        self.names: dict[str, str | None] = {
            name: by_rename.get(name, name if name in there and name not in taken else None)
            for name in rows.columns
        }
        self._own = tuple(rows.columns)
        self._there = tuple(output.columns)

    @property
    def are_same(self) -> bool:
        """Whether both have the same columns."""
        return None not in self.names.values() and set(self.names.values()) == set(self._there)

    @property
    def only_there(self) -> list[str]:
        """Columns that only the output has."""
        known = set(self.names.values())
        return [name for name in self._there if name not in known]

    def hash_names(self) -> dict[str, str | None]:
        """Names under which the input's cells are hashed, so that equal rows hash as in the output."""
        there = set(self._there)
        # What the output lacks must not pass for a column of it that took over the name.
        return {
            name: other if other is not None else name + "\0" if name in there else name
            for name, other in self.names.items()
        }

    def common(self) -> dict[str, str]:
        """Columns of both, by their names in the input."""
        return {name: other for name, other in self.names.items() if other is not None}

    def key(self, of_input: Sequence[str], of_output: Sequence[str]) -> KeyColumns | None:
        """Columns by which to look rows up: the input's key where the output has it, else the output's."""
        to = self.common()
        if of_input and all(name in to for name in of_input):
            return KeyColumns(tuple(of_input), tuple(to[name] for name in of_input))
        back = {other: name for name, other in to.items()}
        if of_output and all(name in back for name in of_output):
            return KeyColumns(tuple(back[name] for name in of_output), tuple(of_output))
        return None
