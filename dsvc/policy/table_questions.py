"""What rules ask detectors of tables: which columns play which part is declared, never guessed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from dsvc.lineage.validation import Finding, Outcome
from dsvc.model.detection import Detection, DetectionStatus
from dsvc.model.manifest import Entry
from dsvc.policy.case import Case
from dsvc.policy.detectors.detector import Wanted
from dsvc.policy.detectors.set_options import columns_option

LOOK_AGAIN: Final = "settle what keeps the detector from looking, or take the file out; then check again"
"""What helps where a detector has no answer."""


def columns_of(case: Case, entry: Entry, role: str) -> tuple[str, ...]:
    """Columns of a table that play a part; empty where none is declared."""
    return tuple(case.tables.for_path(entry.path).roles.get(role, ()))


class Question(NamedTuple):
    """What is asked of tables.

    Attributes
    ----------
    subject : bytes
        What the answer is about.
    wanted : Wanted or None
        None: it can't be asked.
    lack : str
        Why not.
    """

    subject: bytes
    wanted: Wanted | None
    lack: str = ""

    @classmethod
    def of(
        cls,
        case: Case,
        entry: Entry,
        detector: str,
        roles: Sequence[str],
        *,
        others: Sequence[str] = (),
        options: Mapping[str, str] | None = None,
    ) -> Question:
        """Ask about one table.

        Parameters
        ----------
        roles : sequence of str
            Parts that must be declared.
        others : sequence of str
            Parts that are told too where they are.
        options : mapping of str to str or None
            What else the detector is told.
        """
        return cls.of_set(case, entry.path, [entry], detector, roles, others=others, options=options)

    @classmethod
    def of_set(
        cls,
        case: Case,
        subject: bytes,
        entries: Sequence[Entry],
        detector: str,
        roles: Sequence[str],
        *,
        others: Sequence[str] = (),
        options: Mapping[str, str] | None = None,
    ) -> Question:
        """Ask about tables together; the first says which columns play which part."""
        ordered = sorted(entries, key=lambda each: each.path)
        columns = {role: columns_of(case, ordered[0], role) for role in (*roles, *others)}
        lacking = [role for role in roles if not columns[role]]
        if lacking:
            return cls(subject, None, f"dsvc.toml doesn't say which column plays the part of {lacking[0]}")
        told = {role: columns_option(names) for role, names in columns.items() if names}
        return cls(
            subject, Wanted(detector, tuple(ordered), tuple(sorted({**told, **(options or {})}.items())))
        )


def answers(case: Case, questions: Iterable[Question], what: str) -> Iterator[Finding]:
    """Findings of what a detector answers: hits fail, what isn't known is incomplete."""
    for each in questions:
        if each.wanted is None:
            hint = '[tables."GLOB"] of dsvc.toml names the columns'
            yield Finding(each.subject, each.lack, hint, Outcome.INCOMPLETE)
            continue
        yield from answer(each.subject, case.detections.of(each.wanted), what)


def answer(subject: bytes, found: Detection, what: str) -> Iterator[Finding]:
    """Finding of one detection, with the first places."""
    if found.status is DetectionStatus.UNKNOWN:
        said = f"whether {what} can't be told: {found.reason}"
        yield Finding(subject, said, LOOK_AGAIN, Outcome.INCOMPLETE)
    elif found.status is DetectionStatus.HITS:
        yield Finding(subject, f"{what}: {counted(found)}{places(found)}")


def counted(found: Detection) -> str:
    """Name kinds with their numbers."""
    return ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.counts.items()))


def places(found: Detection, limit: int = 3) -> str:
    """Name the first places."""
    shown = []
    for hit in found.hits[:limit]:
        where = "" if hit.line is None else f"line {hit.line}"
        if hit.record is not None:
            where = f"record {hit.record}" + (f", column {hit.column}" if hit.column else "")
        shown.append(f"{where} {hit.shown}".strip())
    return f" ({'; '.join(shown)})" if shown else ""
