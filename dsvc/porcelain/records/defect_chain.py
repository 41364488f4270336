"""The chain of a defect: ``refs/dsvc/defects/ID``, one commit for each operation on it.

The manifest of such a commit holds ``operation`` alone: the state is compiled from the operations of all its
ancestors (`dsvc.feedback.defect_state`). On chains see `records.operation_chain`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import blake3
import msgspec

from dsvc.feedback.defect_state import (
    MAX_OPERATIONS,
    DefectState,
    DefectStep,
    check_step,
    compile_state,
)
from dsvc.history.refs import RefChange
from dsvc.model.defect import (
    DefectOperation,
    DefectVerb,
    check_defect_id,
    decode_defect_operation,
    encode_defect_operation,
)
from dsvc.model.encoding import encode
from dsvc.model.errors import MalformedInputError, NotFoundError
from dsvc.model.ids import CommitId
from dsvc.porcelain.records.operation_chain import Chains, prepare_operation, store_parts
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.manifest_tree import Manifest

if TYPE_CHECKING:
    from dsvc.history.history import Prepared

DEFECT_REFS: Final = "refs/dsvc/defects/"
OPERATION: Final = b"operation"
_DIGITS: Final = (8, 12, 16, 64)


class NoSuchDefectError(NotFoundError):
    """There is no defect of that id."""

    code = "no-such-defect"


DEFECTS: Final = Chains(DEFECT_REFS, "defect", check_defect_id, NoSuchDefectError, "dsvc defect list")


class DefectHead(NamedTuple):
    """A defect: the newest commit of its chain, and the state there."""

    commit: CommitId
    state: DefectState


def defect_ids(repo: Workspace) -> list[str]:
    """Ids of all defects, in order."""
    return DEFECTS.ids(repo)


def find_defect_id(repo: Workspace, text: str) -> str:
    """Find the id that begins with some digits, with or without ``d-``.

    Raises
    ------
    NoSuchDefectError
        If there is none, or more than one.
    """
    return DEFECTS.find(repo, text if text.startswith("d-") else f"d-{text}")


def defect_head(repo: Workspace, id: str) -> DefectHead:  # noqa: A002
    """Newest state of a defect, with its commit.

    Parameters
    ----------
    id : str
        At least its first 4 digits.

    Raises
    ------
    NoSuchDefectError
        If there is none.
    MissingDataError, CorruptDataError, MalformedInputError
        If it can't be read.
    """
    id_ = find_defect_id(repo, id)
    tip = DEFECTS.head(repo, id_)
    return DefectHead(tip, defect_at(repo, id_, tip))


def defect_state(repo: Workspace, id: str) -> DefectState:  # noqa: A002
    """Newest state of a defect; parameters and errors as `defect_head`."""
    return defect_head(repo, id).state


def defect_at(repo: Workspace, id: str, commit: CommitId) -> DefectState:  # noqa: A002
    """State of a defect at a commit of its chain; raises as `defect_head`."""
    steps: list[DefectStep] = []
    for each in repo.history.log([commit], limit=MAX_OPERATIONS + 1):
        data = DEFECTS.part(repo, Manifest(repo.store, each.manifest), OPERATION)
        steps.append(DefectStep(each.id, decode_defect_operation(data), each.parents))
    return compile_state(id, steps)


def defect_states(repo: Workspace) -> list[DefectState]:
    """Newest states of all defects, by id; raises as `defect_head`."""
    return [defect_at(repo, id_, DEFECTS.head(repo, id_)) for id_ in defect_ids(repo)]


def new_defect_id(repo: Workspace, *facts: object, taken: Sequence[str] = ()) -> str:
    """Make the id of a new defect, longer where it would be that of another one.

    Parameters
    ----------
    facts : object
        The first evaluation, the path and the symptom; equal ones give the same id in every copy.
    taken : sequence of str
        Ids of further defects that are being opened.

    Raises
    ------
    MalformedInputError
        If the same defect is opened twice.
    """
    hex_ = blake3.blake3(encode(facts)).hexdigest()
    for digits in _DIGITS:
        id_ = f"d-{hex_[:digits]}"
        if id_ not in taken and DEFECTS.tip(repo, id_) is None:
            return id_
    raise MalformedInputError(f"defect d-{hex_[:8]} is opened twice")


# Recording


class PreparedOperation(NamedTuple):
    """An operation that is stored, and not published yet: its commit, and the ref that moves."""

    id: str
    operation: DefectOperation
    prepared: Prepared
    change: RefChange

    @property
    def commit(self) -> CommitId:
        """The operation's commit."""
        return self.prepared.id


def prepare(
    repo: Workspace,
    id: str,  # noqa: A002
    verb: DefectVerb,
    before: DefectHead | None,
    fields: Mapping[str, object],
    *,
    after: PreparedOperation | None = None,
) -> PreparedOperation:
    """Prepare an operation on a defect; nothing is published, and no ref moved.

    Parameters
    ----------
    before : DefectHead or None
        The state that it follows; None for a new defect.
    fields : mapping of str to object
        Of `DefectOperation`, beside verb, clock, time and person.
    after : PreparedOperation or None
        An operation on the same defect that goes before and is not recorded yet.

    Raises
    ------
    DefectStepError
        If it can't be done to the defect as it is.
    """
    clock, parents, old = 1, [], None
    if before is not None:
        check_step(before.state, verb)
        clock, parents, old = before.state.clock + 1, [before.commit], before.commit
    if after is not None:
        clock, parents, old = after.operation.clock + 1, [after.commit], after.change.old
    return _prepared(repo, id, verb, clock, fields, parents, old)


def _prepared(
    repo: Workspace,
    id_: str,
    verb: DefectVerb,
    clock: int,
    fields: Mapping[str, object],
    parents: Sequence[CommitId],
    old: CommitId | None,
) -> PreparedOperation:
    who = repo.signature()
    plain = DefectOperation(verb=verb, clock=clock, at=who.rfc3339(), by=f"{who.name} <{who.email}>")
    operation = msgspec.structs.replace(plain, **fields)
    data = encode_defect_operation(operation)
    decode_defect_operation(data)  # what could not be read again is refused now
    state = store_parts(repo, {OPERATION: data})
    prepared = prepare_operation(repo, state, parents, DEFECTS.title(verb, id_, operation.reason))
    return PreparedOperation(id_, operation, prepared, RefChange(DEFECTS.ref(id_), old, prepared.id))


def operate(repo: Workspace, id: str, verb: DefectVerb, **fields: object) -> DefectHead:  # noqa: A002
    """Record one operation on a defect; the caller holds `repo.changing()`.

    Parameters
    ----------
    id : str
        At least its first 4 digits.
    fields
        Of `DefectOperation`, beside verb, clock, time and person.

    Raises
    ------
    NoSuchDefectError
        If there is none.
    DefectStepError
        If it can't be done to the defect as it is.
    ConcurrentChangeError
        If the ref moved meanwhile; nothing was recorded.
    """
    before = defect_head(repo, id)
    done = prepare(repo, before.state.id, verb, before, fields)
    record(repo, f"defect {verb}", [done], [done.id])
    return DefectHead(done.commit, defect_at(repo, done.id, done.commit))


def record(
    repo: Workspace, verb: str, done: Sequence[PreparedOperation], arguments: Sequence[str] = ()
) -> None:
    """Publish prepared operations and move their refs in one step; the caller holds `repo.changing()`.

    Of several operations on one defect the last one's ref counts.

    Raises
    ------
    ConcurrentChangeError
        If a ref isn't where it was any more; nothing was recorded.
    """
    changes = {each.change.ref: each.change for each in done}
    objects = [each for operation in done for each in operation.prepared.objects]
    repo.store.publish()
    repo.record(verb, arguments=arguments, changes=list(changes.values()), objects=objects)


def merge(repo: Workspace, id: str, theirs: CommitId) -> DefectHead:  # noqa: A002
    """Unite a defect with another head of its chain, from a copy of the repository.

    Operations unite; where both sides say something else, the strictest holds.

    Raises
    ------
    NoSuchDefectError
        If there is no such defect here.
    MissingDataError, CorruptDataError, MalformedInputError
        If one of both can't be read, or they are not of one defect.
    """
    with repo.changing():
        ours = defect_head(repo, id)
        if repo.history.is_ancestor(theirs, ours.commit):
            return ours
        other = defect_at(repo, ours.state.id, theirs)
        if (other.path, other.symptom) != (ours.state.path, ours.state.symptom):
            raise MalformedInputError(f"{theirs[:12]} is no state of defect {ours.state.id}")
        if repo.history.is_ancestor(ours.commit, theirs):
            change = RefChange(DEFECTS.ref(ours.state.id), ours.commit, theirs)
            repo.record("defect merge", arguments=[ours.state.id], changes=[change])
            return DefectHead(theirs, other)
        clock = max(ours.state.clock, other.clock) + 1
        parents = [ours.commit, theirs]
        done = _prepared(repo, ours.state.id, DefectVerb.MERGE, clock, {}, parents, ours.commit)
        record(repo, "defect merge", [done], [done.id])
        return DefectHead(done.commit, defect_at(repo, done.id, done.commit))
