"""The chain of a repair: ``refs/dsvc/repairs/ID``, one commit for each operation on it.

The manifest of such a commit holds ``operation``, ``plan``, ``files/NAME`` and ``code/PATH``, bytes that the
plan needs, ``steps/N``, the recorded run of a step that is done, ``rows/N-OUTPUT``, how the rows of what it
made stand to those before (`repair.repair_world`), and ``proof``. A step stands for the run's own
manifest, so that gc keeps all that it holds. On chains see `records.operation_chain`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec
from blake3 import blake3

from dsvc.history.history import Prepared
from dsvc.history.refs import RefChange
from dsvc.lineage.source_tree import store_part
from dsvc.model.encoding import encode
from dsvc.model.errors import MalformedInputError, NotFoundError, UsageError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry, tree_entry
from dsvc.model.repair import (
    Plan,
    RepairOperation,
    RepairVerb,
    check_repair_id,
    decode_plan,
    decode_repair_operation,
    encode_plan,
    encode_repair_operation,
)
from dsvc.model.repair_proof import Proof, decode_proof, encode_proof
from dsvc.model.run_record import RunId
from dsvc.porcelain.records.operation_chain import Chains, prepare_operation
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest

REPAIR_REFS: Final = "refs/dsvc/repairs/"
OPERATION, PLAN, PROOF = b"operation", b"plan", b"proof"
FILES, CODE, STEPS, ROWS = b"files", b"code", b"steps", b"rows"
_DIGITS: Final = 8
_STEP: Final = re.compile(rb"steps/(0|[1-9][0-9]{0,5})")


class NoSuchRepairError(NotFoundError):
    """There is no repair of that id."""

    code = "no-such-repair"


class RepairStateError(UsageError):
    """A repair is not in a state in which this can be done with it."""

    code = "repair-state"


REPAIRS: Final = Chains(REPAIR_REFS, "repair", check_repair_id, NoSuchRepairError, "dsvc repair list")


class RepairStatus(StrEnum):
    """How far a repair has come."""

    PLANNED = "planned"
    APPLYING = "applying"
    APPLIED = "applied"
    VERIFIED = "verified"
    RETURNED = "returned"


_STATUS: Final = {
    RepairVerb.PLAN: RepairStatus.PLANNED,
    RepairVerb.STEP: RepairStatus.APPLYING,
    RepairVerb.APPLY: RepairStatus.APPLIED,
    RepairVerb.VERIFY: RepairStatus.VERIFIED,
    RepairVerb.RETURN: RepairStatus.RETURNED,
}
_FOLLOWS: Final[Mapping[RepairVerb, frozenset[RepairStatus]]] = {
    RepairVerb.STEP: frozenset({RepairStatus.PLANNED, RepairStatus.APPLYING}),
    RepairVerb.APPLY: frozenset({RepairStatus.PLANNED, RepairStatus.APPLYING}),
    RepairVerb.VERIFY: frozenset({RepairStatus.APPLIED, RepairStatus.RETURNED}),
    RepairVerb.RETURN: frozenset(RepairStatus) - {RepairStatus.VERIFIED},
}
"""After which states something can be done; a repair that was sent back may stand the next evaluation."""


class RepairStep(NamedTuple):
    """One operation of a chain: the commit that recorded it, and what was done."""

    commit: CommitId
    operation: RepairOperation


class RepairState(msgspec.Struct, frozen=True, kw_only=True):
    """A repair as its operations have left it.

    Attributes
    ----------
    id : str
    head : CommitId
        Newest commit of its chain.
    plan : Plan
    status : RepairStatus
    steps : mapping of int to RunId
        Runs that were recorded, by the place of their step in the plan.
    proof : Proof or None
        Once it is applied.
    commit : str or None
        The commit with its result, in hex.
    feedback : str or None
        The evaluation that verified it, or sent it back.
    history : tuple of RepairStep
        Operations, newest first.
    """

    id: str
    head: CommitId
    plan: Plan
    status: RepairStatus
    steps: Mapping[int, RunId]
    proof: Proof | None
    commit: str | None
    feedback: str | None
    history: tuple[RepairStep, ...]

    @property
    def is_under_way(self) -> bool:
        """Whether it was begun, and neither verified nor sent back."""
        return self.status in (RepairStatus.APPLYING, RepairStatus.APPLIED)


def repair_ref(repair_id: str) -> str:
    """Full name of a repair's ref; raises UsageError if that is no id of one."""
    return REPAIRS.ref(repair_id)


def repair_ids(repo: Workspace) -> list[str]:
    """Ids of all repairs, in order."""
    return REPAIRS.ids(repo)


def find_repair(repo: Workspace, repair_id: str) -> RepairState | None:
    """A repair as it is now, None where there is no such repair; raises as `repair_head` else."""
    return None if REPAIRS.tip(repo, repair_id) is None else repair_head(repo, repair_id)


def repair_head(repo: Workspace, repair_id: str) -> RepairState:
    """A repair as it is now.

    Raises
    ------
    UsageError
        If that is no id of a repair.
    NoSuchRepairError
        If there is none.
    MissingDataError, CorruptDataError, MalformedInputError
        If it can't be read.
    """
    tip = REPAIRS.head(repo, repair_id)
    manifest = _manifest(repo, tip)
    history = tuple(_history(repo, repair_id))
    proof = None if manifest.get(PROOF) is None else decode_proof(REPAIRS.part(repo, manifest, PROOF))
    done = [step.operation for step in history]
    return RepairState(
        id=repair_id,
        head=tip,
        plan=decode_plan(REPAIRS.part(repo, manifest, PLAN)),
        status=_STATUS[done[0].verb],
        steps=_steps(manifest),
        proof=proof,
        commit=next((each.commit for each in done if each.verb is RepairVerb.APPLY), None),
        feedback=next((each.feedback for each in done if each.feedback), None),
        history=history,
    )


def repairs(repo: Workspace) -> Iterator[RepairState]:
    """Yield every repair, by id; raises as `repair_head`."""
    for repair_id in repair_ids(repo):
        yield repair_head(repo, repair_id)


def repairs_of(repo: Workspace, defect_id: str) -> list[RepairState]:
    """Repairs of one defect, the oldest plan first."""
    found = [each for each in repairs(repo) if each.plan.defect == defect_id]
    return sorted(found, key=lambda each: (each.plan.made_at, each.id))


def repair_file(repo: Workspace, state: RepairState, name: str) -> bytes:
    """Bytes of a patch or table that the plan keeps; raises as `repair_head`."""
    return REPAIRS.part(repo, _manifest(repo, state.head), FILES + b"/" + name.encode())


def repair_code(repo: Workspace, state: RepairState) -> dict[bytes, bytes]:
    """New bytes of code files by their paths in the working tree; raises as `repair_head`."""
    manifest = _manifest(repo, state.head)
    entries = [*manifest.entries(CODE)]
    return {entry.path[len(CODE) + 1 :]: REPAIRS.part(repo, manifest, entry.path) for entry in entries}


def repair_part(repo: Workspace, state: RepairState, path: bytes) -> bytes | None:
    """Content of a part, ``rows/2-0``; None where there is none such; raises as `repair_head`."""
    manifest = _manifest(repo, state.head)
    return None if manifest.get(path) is None else REPAIRS.part(repo, manifest, path)


# Recording


def plan_id(plan: Plan, files: Mapping[bytes, bytes], digits: int = _DIGITS) -> str:
    """Id of a plan: who made it and when doesn't matter, the bytes of its files do."""
    bare = msgspec.structs.replace(plan, made_at="", by="")
    digests = [(path, blake3(data).digest()) for path, data in sorted(files.items())]
    return "r-" + blake3(encode_plan(bare) + encode(digests)).hexdigest()[:digits]


def store_plan(repo: Workspace, plan: Plan, files: Mapping[bytes, bytes]) -> tuple[RepairState, bool]:
    """Record a plan, unless the very same one is recorded; the caller holds `repo.changing()`.

    Parameters
    ----------
    files : mapping of bytes to bytes
        What it needs, by ``files/NAME`` and ``code/PATH``.

    Returns
    -------
    RepairState, bool
        The repair, and whether it is new.

    Raises
    ------
    ConcurrentChangeError
        If another one came in between; nothing was recorded.
    """
    repair_id = plan_id(plan, files)
    known = find_repair(repo, repair_id)
    if known is not None and not _is_same(known.plan, plan):
        repair_id = plan_id(plan, files, 64)  # another plan has these eight digits
        known = find_repair(repo, repair_id)
    if known is not None:
        return known, False
    parts = {PLAN: encode_plan(plan), **files}
    operation = RepairOperation(verb=RepairVerb.PLAN, at=plan.made_at, by=plan.by)
    prepared = _prepare(repo, repair_id, operation, parts, before=None)
    REPAIRS.append(repo, repair_id, prepared, None, verb="repair plan")
    return repair_head(repo, repair_id), True


def _is_same(one: Plan, other: Plan) -> bool:
    return plan_id(one, {}, 64) == plan_id(other, {}, 64)


def prepare_repair(
    repo: Workspace,
    state: RepairState,
    operation: RepairOperation,
    *,
    run: RunId | None = None,
    parts: Mapping[bytes, bytes] | None = None,
    proof: Proof | None = None,
) -> tuple[Prepared, RefChange]:
    """Prepare an operation on a repair, for a verb that moves other refs too; nothing is published.

    The caller holds `repo.changing()`.

    Parameters
    ----------
    run : RunId or None
        Of step: the run that was recorded.
    parts : mapping of bytes to bytes or None
        Of step: how rows stand to those before, by ``rows/N-OUTPUT``.
    proof : Proof or None
        Of apply.

    Raises
    ------
    RepairStateError
        If this can't be done with a repair in that state.
    """
    wanted = _FOLLOWS.get(operation.verb, frozenset())
    unapplied = operation.verb is RepairVerb.VERIFY and state.commit is None
    if state.status not in wanted or unapplied:
        raise RepairStateError(
            f"repair {state.id} is {state.status.value}: {operation.verb.value} is not possible",
            hint=f"dsvc repair show {state.id}",
            details={"repair": state.id, "status": state.status.value},
        )
    found = {**(parts or {}), **({} if proof is None else {PROOF: encode_proof(proof)})}
    steps = {} if run is None else {operation.step: run}
    prepared = _prepare(repo, state.id, operation, found, before=state.head, steps=steps)
    return prepared, RefChange(repair_ref(state.id), state.head, prepared.id)


def append_repair(
    repo: Workspace,
    state: RepairState,
    operation: RepairOperation,
    *,
    run: RunId | None = None,
    parts: Mapping[bytes, bytes] | None = None,
    proof: Proof | None = None,
) -> RepairState:
    """Record an operation on a repair; parameters and errors as `prepare_repair`.

    Raises
    ------
    ConcurrentChangeError
        If the repair is not as `state` says any more; nothing was recorded.
    """
    prepared, change = prepare_repair(repo, state, operation, run=run, parts=parts, proof=proof)
    REPAIRS.append(repo, state.id, prepared, change.old, verb=f"repair {operation.verb.value}")
    return repair_head(repo, state.id)


def take_steps_back(repo: Workspace, state: RepairState) -> RepairState:
    """Let a repair that is being applied be planned only, as before its first step.

    Raises
    ------
    RepairStateError
        If it is not being applied.
    ConcurrentChangeError
        If it is not as `state` says any more; nothing was changed.
    """
    if state.status is not RepairStatus.APPLYING:
        raise RepairStateError(
            f"repair {state.id} is {state.status.value}: no step of it is to be taken back",
            hint=f"dsvc repair show {state.id}",
            details={"repair": state.id, "status": state.status.value},
        )
    planned = next(step.commit for step in state.history if step.operation.verb is RepairVerb.PLAN)
    change = RefChange(repair_ref(state.id), state.head, planned)
    repo.record("repair apply", arguments=["--abort", state.id], changes=[change])
    return repair_head(repo, state.id)


def _prepare(
    repo: Workspace,
    repair_id: str,
    operation: RepairOperation,
    parts: Mapping[bytes, bytes],
    *,
    before: CommitId | None,
    steps: Mapping[int, RunId] | None = None,
) -> Prepared:
    """Prepare the commit of an operation; what the state before had stays."""
    base = Manifest(repo.store, EMPTY_ROOT, trees=True) if before is None else _manifest(repo, before)
    news: dict[bytes, Entry] = {}
    for path, data in {**parts, OPERATION: encode_repair_operation(operation)}.items():
        news[path] = msgspec.structs.replace(store_part(repo.store, data), path=path)
    for number, run in (steps or {}).items():
        path = STEPS + b"/%d" % number
        news[path] = tree_entry(path, run)
    state = Manifest(repo.store, base.update(sorted(news.items())), trees=True)
    title = REPAIRS.title(operation.verb.value, repair_id, operation.reason)
    return prepare_operation(repo, state, [] if before is None else [before], title)


# Reading


def _manifest(repo: Workspace, commit: CommitId) -> Manifest:
    return Manifest(repo.store, repo.history.read_commit(commit).manifest, trees=True)


def _history(repo: Workspace, repair_id: str) -> Iterator[RepairStep]:
    for commit in REPAIRS.steps(repo, repair_id):
        data = REPAIRS.part(repo, Manifest(repo.store, commit.manifest, trees=True), OPERATION)
        yield RepairStep(commit.id, decode_repair_operation(data))


def _steps(manifest: Manifest) -> dict[int, RunId]:
    found: dict[int, RunId] = {}
    for entry in manifest.entries(STEPS):
        place = _STEP.fullmatch(entry.path)
        if place is None or not entry.is_tree:
            raise MalformedInputError("a repair has a step that is no run")
        found[int(place[1])] = RunId(entry.digest)
    return dict(sorted(found.items()))
