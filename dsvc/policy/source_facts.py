"""What sources state, as rules ask it: a value that is there and known, or None.

A field is not known where it is absent, says so itself (``unknown``, ``undetermined``), or where two values
met in a merge and none was chosen yet. None of that ever passes for an answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from dsvc.lineage.source_fields import UNDETERMINED
from dsvc.lineage.validation import Finding, Outcome, source_subject

if TYPE_CHECKING:
    from dsvc.lineage.source_tree import SourceTree
    from dsvc.model.source_record import Evidence, SourceRecord
    from dsvc.policy.case import Case

_NOT_KNOWN: Final = frozenset({"", "unknown", UNDETERMINED})


class SourceFacts:
    """One state of a source, with the findings that rules make of it.

    Parameters
    ----------
    tree : SourceTree
    record : SourceRecord
    """

    def __init__(self, tree: SourceTree, record: SourceRecord) -> None:
        self.tree = tree
        self.record = record

    @property
    def id(self) -> str:
        """Id of the source."""
        return self.record.source_id

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Evidence that it has."""
        return self.record.evidence

    def is_open(self, name: str) -> bool:
        """Whether two values of a field met in a merge, and none was chosen yet."""
        return name.partition(".")[0] in self.record.undetermined

    def text(self, name: str) -> str | None:
        """A field, or ``FIELD.PART``; None where it isn't known."""
        value = self._value(name)
        if value is None or isinstance(value, list | Mapping):
            return None
        text = str(value).strip()
        return None if text.casefold() in _NOT_KNOWN else text

    def texts(self, name: str) -> tuple[str, ...]:
        """Items of a field that is a list; empty where it isn't known."""
        value = self._value(name)
        if isinstance(value, str):
            value = [value]
        items = [str(item).strip() for item in value] if isinstance(value, list) else []
        return tuple(item for item in items if item.casefold() not in _NOT_KNOWN)

    def number(self, name: str) -> float | None:
        """A number from 0 on; None where it isn't known, or is none."""
        text = self.text(name)
        try:
            value = math.nan if text is None else float(text)
        except ValueError:
            return None
        return value if math.isfinite(value) and value >= 0 else None

    def _value(self, name: str) -> object:
        outer, _, part = name.partition(".")
        if self.is_open(outer):
            return None
        value = self.record.fields.get(outer)
        if not part:
            return value
        return value.get(part) if isinstance(value, Mapping) else None

    # Findings

    def fails(self, what: str, hint: str | None = None) -> Finding:
        """Say that something is there, and is wrong."""
        return Finding(source_subject(self.id), f"source {self.id}: {what}", hint, Outcome.FAIL)

    def lacks(self, what: str, hint: str | None = None) -> Finding:
        """Say that something isn't there, or isn't known."""
        return Finding(source_subject(self.id), f"source {self.id}: {what}", hint, Outcome.INCOMPLETE)

    def lacks_field(self, name: str, example: str, why: str = "") -> Finding:
        """Say that a field isn't known, and with which command to set it.

        Parameters
        ----------
        example : str
            A value that it could have.
        why : str
            What it is needed for.
        """
        outer = name.partition(".")[0]
        state = "is not stated"
        if self.is_open(outer):
            state = "has two values that met in a merge"
        elif self._value(name) not in (None, [], ""):
            state = f"is {self._value(name)}"
        needed = f"; {why}" if why else ""
        return self.lacks(f"{name} {state}{needed}", self.setting(f"{name}={example}"))

    def lacks_acquisition(self) -> Finding:
        """Say that how it was acquired isn't known, and so not what is asked of it."""
        return self.lacks(
            "acquisition has two values that met in a merge",
            f"dsvc source set {self.id} --acquisition {self.record.acquisition}",
        )

    def setting(self, assignment: str) -> str:
        """Write the command that sets a field."""
        quoted = f"'{assignment}'" if any(letter in assignment for letter in " ;&()<>*…") else assignment
        return f"dsvc source set {self.id} --field {quoted}"

    def adding(self, type_: str) -> str:
        """Write the command that adds evidence."""
        return f"dsvc source set {self.id} --evidence {type_}=FILE"


def states(case: Case) -> Iterator[SourceFacts]:
    """Every state of every source whose facts are judged, by id of the source.

    Raises
    ------
    DsvcError
        At the end, if a source or a run can't be read: then there may be sources that nobody knows of.
    """
    for source in case.sources:
        for tree, record in case.stated(source):
            yield SourceFacts(tree, record)
    origins = case.judged.origins
    for unreadable in (origins.sources.unreadable, origins.runs.unreadable):
        for _, error in sorted(unreadable.items()):
            raise error


def later(day: str, days: float) -> str:
    """Give the day so many days later, ``YYYY-MM-DD``."""
    try:
        return (date.fromisoformat(day[:10]) + timedelta(days=days)).isoformat()
    except OverflowError:
        return date.max.isoformat()


def counted(values: Mapping[str, int]) -> str:
    """Write counts in a message: ``3 email, 1 cn_mobile``, the most frequent first."""
    ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {name}" for name, count in ordered)
