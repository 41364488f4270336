"""Targets of questions about lineage: ``source:ID``, ``run:ID``, or a file or row as everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.run_record import RunId
from dsvc.porcelain.row_target import RowTarget, parse_target

MIN_DIGITS: Final = 4
_DIGITS: Final = re.compile(r"[0-9a-f]{4,64}")
_KINDS: Final = ("source", "run", "release", "defect")
_MAX_LISTED: Final = 20


class NoSuchRunError(NotFoundError):
    """There is no run of this id or name."""

    code = "no-such-run"


class AmbiguousRunError(UsageError):
    """Several runs have ids that begin so, or this name."""

    code = "ambiguous-run"


class NoSuchSourceError(NotFoundError):
    """There is no source of this id."""

    code = "no-such-source"


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


LineageTarget = SourceTarget | RunTarget | RowTarget


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
    NotFoundError
        If it is a release or a defect; there are none.
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
    raise NotFoundError(f"there is no {kind} {rest[:200]!r}", details={"target": text[:200]})


def choose_run(text: str, names: Mapping[RunId, str]) -> RunId:
    """Find the run that is meant, by the first digits of its id (at least 4) or by its name.

    Parameters
    ----------
    names : mapping of RunId to str
        The runs that there are, with their names.

    Raises
    ------
    NoSuchRunError
        If there is none.
    AmbiguousRunError
        If there are several.
    """
    found = [id_ for id_ in names if id_.hex().startswith(text)] if _DIGITS.fullmatch(text) else []
    found = found or [id_ for id_, name in names.items() if name == text]
    if len(found) == 1:
        return found[0]
    if not found:
        hint = None
        if len(text) < MIN_DIGITS and any(id_.hex().startswith(text) for id_ in names):
            hint = f"an id is given by at least {MIN_DIGITS} of its digits"
        raise NoSuchRunError(f"there is no run {text[:200]!r}", hint=hint, details={"run": text[:200]})
    ids = sorted(id_.hex() for id_ in found)
    raise AmbiguousRunError(
        f"{len(found)} runs are meant by {text[:200]!r}",
        hint="name one by its id: " + ", ".join(id_[:12] for id_ in ids[:_MAX_LISTED]),
        details={"runs": ids[:_MAX_LISTED]},
    )
