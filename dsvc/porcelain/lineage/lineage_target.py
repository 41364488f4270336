"""Targets of questions about lineage: sources, runs, defects, releases, and files and rows as everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dsvc.model.errors import UsageError
from dsvc.porcelain.tables.row_target import RowTarget, parse_target

_KINDS: Final = ("source", "run", "release", "defect")


@dataclass(frozen=True, slots=True)
class SourceTarget:
    """A source."""

    id: str

    def __str__(self) -> str:
        """Write it as a target."""
        return f"source:{self.id}"


@dataclass(frozen=True, slots=True)
class RunTarget:
    """A run, by the first digits of its id or by its name."""

    text: str

    def __str__(self) -> str:
        """Write it as a target."""
        return f"run:{self.text}"


@dataclass(frozen=True, slots=True)
class DefectTarget:
    """The bad rows of a defect, by at least the first 4 digits of its id."""

    id: str

    def __str__(self) -> str:
        """Write it as a target."""
        return f"defect:{self.id}"


@dataclass(frozen=True, slots=True)
class ReleaseTarget:
    """The files of a release."""

    name: str

    def __str__(self) -> str:
        """Write it as a target."""
        return f"release:{self.name}"


LineageTarget = SourceTarget | RunTarget | DefectTarget | ReleaseTarget | RowTarget


def parse_lineage_target(text: str, file: Callable[[str], RowTarget] = parse_target) -> LineageTarget:
    """Read a target.

    A file whose name begins like another kind of target is reached by its revision, ``HEAD:source:x``.

    Parameters
    ----------
    text : str
        As it was written.
    file : callable
        Reads the target of a file or a row.

    Raises
    ------
    UsageError
        If nothing follows the colon, or it is no target of a file.
    """
    kind, colon, rest = text.partition(":")
    if not colon or kind not in _KINDS:
        return file(text)
    if not rest:
        raise UsageError(f"{text!r} names no {kind}", hint=f"as in {kind}:NAME")
    if kind == "source":
        return SourceTarget(rest)
    if kind == "run":
        return RunTarget(rest)
    if kind == "defect":
        return DefectTarget(rest)
    return ReleaseTarget(rest)
