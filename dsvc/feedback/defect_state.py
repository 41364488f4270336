"""The state of a defect, compiled from its operations; in which order copies learned of them doesn't matter.

Each field is what the operations say that no other one follows on: of one line of operations that is the last
one. Where two copies went on by themselves there may be several, and the strictest holds:

============ =======================================================================================
status       reopened, confirmed, open, repairing, rejected, verified, whichever of them comes first;
             new observations beside a closing operation leave the defect as it was before that
severity     the worst
rows         all that were added, but for those that a split took away which knew of them
assignee     the one of the operation with the highest clock, then digest
============ =======================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import blake3
import msgspec

from dsvc.model.defect import (
    DefectOperation,
    DefectStatus,
    DefectVerb,
    FlaggedRows,
    encode_defect_operation,
)
from dsvc.model.errors import MalformedInputError, UsageError
from dsvc.model.feedback import DefectSeverity
from dsvc.model.ids import CommitId

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

MAX_OPERATIONS: Final = 10_000

_Place = tuple[bytes, bytes, bool]

_STRICTEST: Final = (
    DefectStatus.REOPENED,
    DefectStatus.CONFIRMED,
    DefectStatus.OPEN,
    DefectStatus.REPAIRING,
    DefectStatus.REJECTED,
    DefectStatus.VERIFIED,
)
_TO: Final = {
    DefectVerb.OPEN: DefectStatus.OPEN,
    DefectVerb.CONFIRM: DefectStatus.CONFIRMED,
    DefectVerb.REJECT: DefectStatus.REJECTED,
    DefectVerb.REPAIR: DefectStatus.REPAIRING,
    DefectVerb.RETURN: DefectStatus.REPAIRING,
    DefectVerb.VERIFY: DefectStatus.VERIFIED,
    DefectVerb.REOPEN: DefectStatus.REOPENED,
}
_ADDS: Final = (DefectVerb.OPEN, DefectVerb.EXTEND, DefectVerb.JOIN, DefectVerb.REOPEN)
_OPEN: Final = tuple(each for each in DefectStatus if each.is_open)
_MAY: Final[Mapping[DefectVerb, tuple[DefectStatus, ...]]] = {
    DefectVerb.EXTEND: _OPEN,
    DefectVerb.CONFIRM: (DefectStatus.OPEN, DefectStatus.REOPENED),
    DefectVerb.REJECT: _OPEN,
    DefectVerb.GRADE: _OPEN,
    DefectVerb.ASSIGN: _OPEN,
    DefectVerb.SPLIT: _OPEN,
    DefectVerb.JOIN: _OPEN,
    DefectVerb.REPAIR: _OPEN,
    DefectVerb.RETURN: (DefectStatus.REPAIRING,),
    DefectVerb.VERIFY: (DefectStatus.REPAIRING,),
    DefectVerb.REOPEN: (DefectStatus.REJECTED, DefectStatus.VERIFIED),
    DefectVerb.COMMENT: tuple(DefectStatus),
    DefectVerb.MERGE: tuple(DefectStatus),
}
"""In which statuses an operation can be done; a defect that was joined to another only takes comments and
is reopened."""
_BESIDE_REPAIR: Final = (DefectStatus.OPEN, DefectStatus.CONFIRMED)
"""What another copy may have made of a defect while it was being repaired here: the repair still counts."""


class DefectStepError(UsageError):
    """That can't be done to a defect in this status."""

    code = "defect-step"


class DefectStep(NamedTuple):
    """An operation, the commit that recorded it, and the commits that it followed."""

    commit: CommitId
    operation: DefectOperation
    parents: tuple[CommitId, ...] = ()


class DefectState(msgspec.Struct, frozen=True, kw_only=True):
    """A defect as its operations leave it.

    Attributes
    ----------
    id : str
    status : DefectStatus
    severity, worst_severity : DefectSeverity
        As it is now, and the worst that it ever was.
    path : bytes
        Artifact whose rows are bad.
    symptom : str
        What is wrong with them.
    rows : tuple of FlaggedRows
        By content of the artifact; that which was added to last comes last.
    feedbacks, repairs : tuple of str
        Evaluations that flagged rows, and repairs, in order.
    opened_at : str
    assignee, due : str or None
    joined_into, split_from : str or None
        The defect that it went into, or was taken from.
    history : tuple of DefectStep
        All operations but merges of copies, oldest first.
    clock : int
        The highest of the operations.
    """

    id: str
    status: DefectStatus
    severity: DefectSeverity
    worst_severity: DefectSeverity
    path: bytes
    symptom: str
    rows: tuple[FlaggedRows, ...]
    feedbacks: tuple[str, ...]
    repairs: tuple[str, ...]
    opened_at: str
    assignee: str | None
    due: str | None
    joined_into: str | None
    split_from: str | None
    history: tuple[DefectStep, ...]
    clock: int

    @property
    def is_open(self) -> bool:
        """Whether something remains to be done with it; one that was joined to another has nothing left."""
        return self.joined_into is None and self.status.is_open

    @property
    def blocking(self) -> bool:
        """Whether it blocks a release unless a waiver counts: it was a P1 once and was never verified.

        Rejecting it, or grading it down, is what such a waiver is for.
        """
        closed = self.joined_into is not None or self.status is DefectStatus.VERIFIED
        return self.worst_severity is DefectSeverity.P1 and not closed

    @property
    def needs_waiver(self) -> bool:
        """Whether it blocks although it was rejected or graded down: only a waiver lets it pass."""
        lowered = self.severity is not DefectSeverity.P1 or self.status is DefectStatus.REJECTED
        return self.blocking and lowered

    @property
    def count(self) -> int:
        """Number of bad rows, at the content of the artifact that was added to last."""
        return self.rows[-1].count if self.rows else 0


def worst(severities: Iterable[DefectSeverity]) -> DefectSeverity:
    """The worst of some; P3 of none."""
    return min(severities, default=DefectSeverity.P3)


def check_step(state: DefectState, verb: DefectVerb) -> None:
    """See that an operation can be done to a defect as it is.

    Raises
    ------
    DefectStepError
        If it can't.
    """
    if state.joined_into is not None and verb not in (
        DefectVerb.COMMENT,
        DefectVerb.REOPEN,
        DefectVerb.MERGE,
    ):
        raise DefectStepError(
            f"defect {state.id} went into {state.joined_into}",
            hint=f"do it there, or dsvc defect reopen {state.id}",
            details={"defect": state.id, "joined_into": state.joined_into},
        )
    if state.joined_into is not None and verb is DefectVerb.REOPEN:
        return
    if verb in (DefectVerb.RETURN, DefectVerb.VERIFY) and state.repairs and state.status in _BESIDE_REPAIR:
        return
    if state.status not in _MAY.get(verb, ()):
        hint = f"dsvc defect reopen {state.id} --reason TEXT" if not state.status.is_open else None
        raise DefectStepError(
            f"defect {state.id} is {state.status}; {verb} can't be done to it",
            hint=hint,
            details={"defect": state.id, "status": str(state.status)},
        )


def compile_state(id: str, steps: Sequence[DefectStep]) -> DefectState:  # noqa: A002
    """Compile the state from all operations of a chain.

    Parameters
    ----------
    steps : sequence of DefectStep
        In any order, each once.

    Raises
    ------
    MalformedInputError
        If they are no chain of a defect.
    """
    return _Compiler(id, steps).state()


class _Compiler:
    """The operations of one defect in order, with what each of them knew of."""

    def __init__(self, id_: str, steps: Sequence[DefectStep]) -> None:
        if not 0 < len(steps) <= MAX_OPERATIONS:
            raise MalformedInputError(f"defect {id_} has {len(steps)} operations")
        self.id = id_
        # The clock of an operation is higher than those it followed, so this order is one of causes too.
        self.steps = sorted(steps, key=_order)
        places = {step.commit: number for number, step in enumerate(self.steps)}
        self.before: list[int] = []
        for number, step in enumerate(self.steps):
            known = 0
            for parent in step.parents:
                place = places.get(parent, number)
                if place >= number or self.steps[place].operation.clock >= step.operation.clock:
                    raise MalformedInputError(f"the operations of defect {id_} are out of order")
                known |= self.before[place] | 1 << place
            first = step.operation.verb is DefectVerb.OPEN
            if first == bool(step.parents):
                raise MalformedInputError(
                    f"the operations of defect {id_} don't begin with one that opens it"
                )
            self.before.append(known)

    def last(self, numbers: Iterable[int]) -> list[int]:
        """Those of some operations that no other of them followed on."""
        chosen = list(numbers)
        known = 0
        for number in chosen:
            known |= self.before[number]
        return [number for number in chosen if not known >> number & 1]

    def of(self, *verbs: DefectVerb) -> list[int]:
        """Numbers of the operations of some verbs."""
        return [number for number, step in enumerate(self.steps) if step.operation.verb in verbs]

    def operation(self, number: int) -> DefectOperation:
        return self.steps[number].operation

    def state(self) -> DefectState:
        """Put the fields together."""
        first = self.operation(0)
        graded = [number for number, step in enumerate(self.steps) if step.operation.severity is not None]
        severities = {number: self.operation(number).severity or DefectSeverity.P3 for number in graded}
        assigned = max(self.last(self.of(DefectVerb.ASSIGN)), default=None)
        assigned_to = None if assigned is None else self.operation(assigned)
        kept = [number for number in self.of(*_ADDS, DefectVerb.SPLIT) if self.operation(number).rows]
        return DefectState(
            id=self.id,
            status=self._status((1 << len(self.steps)) - 1),
            severity=worst(severities[number] for number in self.last(graded)),
            worst_severity=worst(severities.values()),
            path=first.path or b"",
            symptom=first.symptom or "",
            rows=self._rows(kept),
            feedbacks=_distinct(
                name
                for number in self.of(*_ADDS)
                for name in (self.operation(number).feedback, *self.operation(number).feedbacks)
            ),
            repairs=_distinct(step.operation.repair for step in self.steps),
            opened_at=first.at,
            assignee=None if assigned_to is None else assigned_to.to,
            due=None if assigned_to is None else assigned_to.due,
            joined_into=self._joined_into(),
            split_from=next(iter(first.others), None),
            history=tuple(step for step in self.steps if step.operation.verb is not DefectVerb.MERGE),
            clock=self.steps[-1].operation.clock,
        )

    def _status(self, known: int) -> DefectStatus:
        """Status after some operations, which a bit each says are known."""
        setters = [number for number in self.of(*_TO, DefectVerb.EXTEND) if known >> number & 1]
        found = set()
        for number in self.last(setters):
            to = _TO.get(self.operation(number).verb)
            # New observations leave the status as it is, and keep what they know nothing of from closing it.
            found.add(self._status_before(number) if to is None else to)
        return next((each for each in _STRICTEST if each in found), DefectStatus.OPEN)

    @cached_property
    def _known_statuses(self) -> dict[int, DefectStatus]:
        return {}

    def _status_before(self, number: int) -> DefectStatus:
        if number not in self._known_statuses:
            # In order, so that a long row of extensions needs no deep stack.
            for each in self.of(DefectVerb.EXTEND):
                if each <= number and each not in self._known_statuses:
                    self._known_statuses[each] = self._status(self.before[each])
        return self._known_statuses[number]

    def _joined_into(self) -> str | None:
        """The defect that it went into; new observations or a reopening void that, beside it or after it."""
        joins = [number for number in self.of(DefectVerb.JOIN) if not self.operation(number).rows]
        others = self.of(DefectVerb.EXTEND, DefectVerb.REOPEN)
        held = [
            number
            for number in self.last([*joins, *others])
            if self.operation(number).verb is not DefectVerb.JOIN or self.operation(number).rows
        ]
        last = max(self.last(joins), default=None) if not held else None
        return None if last is None else next(iter(self.operation(last).others), None)

    def _rows(self, numbers: Sequence[int]) -> tuple[FlaggedRows, ...]:
        import numpy as np

        from dsvc.lineage.row_set import decode_rows, encode_rows

        found: dict[_Place, list[Numbers]] = {}
        splits = [number for number in numbers if self.operation(number).verb is DefectVerb.SPLIT]
        for number in numbers:
            if self.operation(number).verb is DefectVerb.SPLIT:
                continue
            for part in self.operation(number).rows:
                place = (part.path, part.digest, part.folder)
                rows = decode_rows(part.rows)
                for split in splits:
                    gone = [each for each in self.operation(split).rows if _place(each) == place]
                    if self.before[split] >> number & 1 and gone:
                        rows = np.setdiff1d(rows, decode_rows(gone[0].rows), assume_unique=True)
                # Put at the end again: what was added to last is what is known now.
                found[place] = [*found.pop(place, []), rows]
        united = {place: np.unique(np.concatenate(parts)) for place, parts in found.items()}
        return tuple(
            FlaggedRows(path=path, digest=digest, folder=folder, rows=encode_rows(rows), count=len(rows))
            for (path, digest, folder), rows in united.items()
            if len(rows)
        )


def _place(part: FlaggedRows) -> _Place:
    return (part.path, part.digest, part.folder)


def _order(step: DefectStep) -> tuple[int, bytes, str]:
    digest = blake3.blake3(encode_defect_operation(step.operation)).digest()
    return (step.operation.clock, digest, step.commit)


def _distinct(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))
