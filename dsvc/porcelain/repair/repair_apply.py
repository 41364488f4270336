"""repair apply: the steps of a plan carried out in scratch folders, proven, committed on a branch of its own.

The working tree, HEAD and what is staged are never touched. Each step that is done is recorded on the
repair's chain, so that the same command goes on where an interrupted one was; the commit, the operations on
defect and repair, and what is done to a source come about together, with the last ref that moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.feedback.defect_state import check_step
from dsvc.fs import locks
from dsvc.history.ref_name import HEADS
from dsvc.history.refs import RefChange
from dsvc.history.trailers import Trailer
from dsvc.lineage.run_tree import RunTree
from dsvc.model.defect import DefectVerb
from dsvc.model.errors import CorruptDataError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.paths import display_path
from dsvc.model.repair import Action, ActionKind, Plan, RepairOperation, RepairVerb
from dsvc.model.repair_proof import Proof, proof_digest
from dsvc.porcelain.policy.commit_gate import commit_gate
from dsvc.porcelain.records.defect_chain import DefectHead, defect_head
from dsvc.porcelain.records.defect_chain import prepare as prepare_defect
from dsvc.porcelain.records.repair_chain import (
    RepairState,
    RepairStateError,
    RepairStatus,
    prepare_repair,
    repair_head,
    take_steps_back,
)
from dsvc.porcelain.repair.repair_carrying import Carrying, StepDone, recorded_step, storing
from dsvc.porcelain.repair.repair_plan import check_alone, check_current, check_possible
from dsvc.porcelain.repair.repair_proof import prove
from dsvc.porcelain.repair.repair_refusal import not_proved
from dsvc.porcelain.sources.source_withdrawal import Withdrawal, prepare_withdrawal
from dsvc.porcelain.state.commit_lineage import CommitLineage, lineage_of, source_heads, with_detections
from dsvc.porcelain.state.signing import Signer, commit_signer, sign_commit
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.file_entry import entry_of_bytes
from dsvc.porcelain.versions.commit import UNVERIFIED

if TYPE_CHECKING:
    from dsvc.history.git_object import GitObject
    from dsvc.history.history import Prepared
    from dsvc.porcelain.policy.commit_gate import LetIn
    from dsvc.porcelain.runs.rerun import Carrier

BRANCHES: Final = HEADS + "repair/"
DEFECT, REPAIR, FEEDBACK, PROOF = "Dsvc-Defect", "Dsvc-Repair", "Dsvc-Feedback", "Dsvc-Proof"


class RepairApplied(NamedTuple):
    """A repair that was applied.

    Attributes
    ----------
    state : RepairState
    commit : CommitId
    branch : str
        Short name of the branch that has it; empty where none has it as its newest.
    proof : Proof
    trailers : tuple of (str, str)
        Of the commit.
    steps : tuple of StepDone
        Steps of the plan; of a repair that was applied before those that recorded a run.
    is_new : bool
        Whether it was not applied before.
    verdict : str or None
        What the policy in force says of the commit; None where none is, or it was applied before.
    warnings : tuple of str
    """

    state: RepairState
    commit: CommitId
    branch: str
    proof: Proof
    trailers: tuple[Trailer, ...]
    steps: tuple[StepDone, ...]
    is_new: bool = True
    verdict: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def rows_recomputed(self) -> int:
        """Rows that commands computed."""
        return sum(step.rows for step in self.steps)


def apply_repair(
    repo: Workspace,
    repair_id: str,
    how: Carrier,
    *,
    sign: bool | None = None,
    no_verify: bool = False,
    on_step: Callable[[StepDone], None] | None = None,
) -> RepairApplied:
    """Carry a repair out, prove it, and commit it on branch ``repair/DEFECT``.

    One that was applied before is given as it was recorded.

    Parameters
    ----------
    how : Carrier
        How commands are carried out; each is announced before it runs.
    sign : bool or None
        Whether to sign the commit; None: as ``commit.sign`` says.
    no_verify : bool
        Skip the local gate; the commit says so. The proof is never skipped.
    on_step : callable or None
        Called after each step.

    Raises
    ------
    NoSuchRepairError
        If there is no such repair.
    StalePlanError, OtherRepairError
        If the branch or the defect moved on, or another repair of the defect is under way; nothing was
        changed.
    PlanBlockedError, RepairStateError, DefectStepError
        If it can't be applied, or was sent back.
    RerunFailedError, CommandFailedError, CommandTimeoutError, OutputMissingError
        If a command fails; the steps before it stay done.
    RepairNotProvedError
        If the result isn't what the plan says; rows are named.
    LineageBrokenError, PolicyDeniedError, PolicyIncompleteError, BlockingDefectError
        If the policy in force refuses the commit; the steps stay done.
    MissingDataError, CorruptDataError, MalformedInputError
        If anything that it needs can't be read.
    """
    signer = commit_signer(repo, sign)
    with locks.hold(repo.layout.lock("repair"), what="repair", timeout=repo.lock_timeout):
        state = repair_head(repo, repair_id)
        if state.status in (RepairStatus.APPLIED, RepairStatus.VERIFIED):
            return _applied(repo, state)
        defect = _checked(repo, state)
        carrying = Carrying(repo, state, how)
        steps = carrying.carry_out(on_step)
        with storing(repo):
            return _Finish(repo, carrying, defect, steps, signer).commit(no_verify=no_verify)


def give_up(repo: Workspace, repair_id: str) -> RepairState:
    """Take the finished steps of a repair back that is being applied; it is planned only then.

    Raises
    ------
    NoSuchRepairError, RepairStateError
        If there is no such repair, or it is not being applied.
    """
    with locks.hold(repo.layout.lock("repair"), what="repair", timeout=repo.lock_timeout):
        return take_steps_back(repo, repair_head(repo, repair_id))


def _checked(repo: Workspace, state: RepairState) -> DefectHead:
    """See that a repair can be applied now; gives its defect."""
    if state.status is RepairStatus.RETURNED:
        raise RepairStateError(
            f"repair {state.id} was sent back",
            hint=f"plan again: dsvc repair plan {state.plan.defect}",
            details={"repair": state.id, "status": state.status.value},
        )
    check_possible(state)
    check_alone(repo, state)
    check_current(repo, state)
    defect = defect_head(repo, state.plan.defect)
    check_step(defect.state, DefectVerb.REPAIR)
    return defect


def _applied(repo: Workspace, state: RepairState) -> RepairApplied:
    """A repair that was applied before, as it was recorded."""
    if state.commit is None or state.proof is None:
        raise CorruptDataError(f"repair {state.id} has no commit or no proof")
    commit = CommitId.parse(state.commit)
    tips = repo.history.refs.list(BRANCHES)
    branch = next((name.removeprefix(HEADS) for name, tip in sorted(tips.items()) if tip == commit), "")
    plan, trees = state.plan, {number: RunTree(repo.store, id_) for number, id_ in state.steps.items()}
    steps = [recorded_step(number, plan.steps[number], tree) for number, tree in trees.items()]
    trailers = repo.history.read_commit(commit).trailers
    return RepairApplied(state, commit, branch, state.proof, trailers, tuple(steps), is_new=False)


class _Finish:
    """What follows on the steps: proof, gate, commit."""

    def __init__(
        self,
        repo: Workspace,
        carrying: Carrying,
        defect: DefectHead,
        steps: Sequence[StepDone],
        signer: Signer | None,
    ) -> None:
        self._repo = repo
        self._state = carrying.state
        self._plan = carrying.state.plan
        self._carrying = carrying
        self._defect = defect
        self._steps = tuple(steps)
        self._signer = signer
        self._base = CommitId(self._plan.base)

    def commit(self, *, no_verify: bool) -> RepairApplied:
        before = self._repo.history.read_commit(self._base).manifest
        code = self._code(before)
        root = self._carrying.world.root()
        self._repo.store.publish()
        proof = prove(
            self._repo,
            self._plan,
            before,
            root,
            self._state.steps,
            edits=self._carrying.edits,
            code=code,
        )
        self._check(proof, changed=root != before)
        withdrawal = self._withdrawal()
        lineage = self._lineage(withdrawal)
        signer = None if self._signer is None else self._signer.public
        let_in = None if no_verify else commit_gate(self._repo, [self._base], root, lineage, signer)
        if let_in is not None and let_in.detections:
            lineage = with_detections(self._repo, lineage, let_in.detections)
        return self._record(root, proof, lineage, withdrawal, let_in)

    def _code(self, root: NodeId) -> dict[bytes, bytes]:
        """Put new code files in place of those that the version tracks; gives their digests."""
        manifest, found = self._repo.manifest(root), {}
        for path, data in self._carrying.code.items():
            old = manifest.get(path)
            if old is not None and old.is_file:
                entry = entry_of_bytes(self._repo.store, path, old.mode, data, old)
                self._carrying.world.replace(entry)
                found[path] = entry.digest
        return found

    def _check(self, proof: Proof, *, changed: bool) -> None:
        if proof.holds and changed:
            return
        if self._state.steps:
            take_steps_back(self._repo, self._state)
        raise not_proved(self._state, proof)

    def _withdrawal(self) -> Withdrawal | None:
        action = self._plan.action
        if action.kind is not ActionKind.WITHDRAW_SOURCE or action.source is None:
            return None
        return prepare_withdrawal(
            self._repo, action.source, f"repair {self._state.id} of {self._plan.defect}"
        )

    def _lineage(self, withdrawal: Withdrawal | None) -> CommitLineage:
        sources = source_heads(self._repo)
        if withdrawal is not None:
            sources[withdrawal.source_id] = withdrawal.manifest
        return CommitLineage(lineage_of(self._repo, self._base).extended(self._state.steps.values(), sources))

    def _record(
        self,
        root: NodeId,
        proof: Proof,
        lineage: CommitLineage,
        withdrawal: Withdrawal | None,
        let_in: LetIn | None,
    ) -> RepairApplied:
        repo, state, plan, who = self._repo, self._state, self._plan, self._repo.signature()
        branch = _free_branch(repo, plan.defect)
        said = UNVERIFIED if let_in is None else let_in.trailers
        prepared = self._prepared(root, lineage, branch, (*self._trailers(proof), *said))
        fields = {"repair": state.id, "commit": str(prepared.id)}
        done = prepare_defect(repo, plan.defect, DefectVerb.REPAIR, self._defect, fields)
        operation = RepairOperation(
            verb=RepairVerb.APPLY,
            at=who.rfc3339(),
            by=f"{who.name} <{who.email}>",
            commit=str(prepared.id),
        )
        applied, moved = prepare_repair(repo, state, operation, proof=proof)
        changes: list[RefChange] = [*prepared.changes, done.change, moved]
        objects: list[GitObject] = [*prepared.objects, *done.prepared.objects, *applied.objects]
        if withdrawal is not None:
            changes.append(withdrawal.change)
            objects += withdrawal.prepared.objects
        repo.store.publish()
        repo.record(
            "repair apply",
            arguments=[state.id],
            changes=changes,
            objects=objects,
            message=f"repair apply: {self._title}",
        )
        return RepairApplied(
            state=repair_head(repo, state.id),
            commit=prepared.id,
            branch=branch.removeprefix(HEADS),
            proof=proof,
            trailers=repo.history.read_commit(prepared.id).trailers,
            steps=self._steps,
            verdict=None if let_in is None else let_in.verdict,
            warnings=() if let_in is None else let_in.warnings,
        )

    def _prepared(
        self, root: NodeId, lineage: CommitLineage, branch: str, trailers: Sequence[Trailer]
    ) -> Prepared:
        who, (files, size) = self._repo.signature(), self._repo.manifest(root).totals()
        return self._repo.history.commit(
            parents=[self._base],
            manifest=root,
            files=files,
            bytes=size,
            message=self._title,
            author=who,
            committer=who,
            trailers=trailers,
            lineage=lineage.root,
            branch=branch,
            expected=None,
            sign=sign_commit(self._signer),
        )

    @property
    def _title(self) -> str:
        return f"repair {self._plan.defect}: {_summary(self._plan)}"

    def _trailers(self, proof: Proof) -> tuple[Trailer, ...]:
        feedbacks = ((FEEDBACK, each) for each in self._defect.state.feedbacks)
        return (
            (DEFECT, self._plan.defect),
            (REPAIR, self._state.id),
            *feedbacks,
            (PROOF, f"blake3:{proof_digest(proof)}"),
        )


def _free_branch(repo: Workspace, defect: str) -> str:
    """Full name of the branch; one of an earlier repair stays as it is."""
    name, number = BRANCHES + defect, 2
    while repo.history.refs.get(name) is not None:
        name, number = f"{BRANCHES}{defect}-{number}", number + 1
    return name


def _summary(plan: Plan) -> str:
    """What a repair does, on one line."""
    action, path = plan.action, " ".join(display_path(plan.path).split())[:120]
    if action.kind is ActionKind.RERUN:
        changed = [*(f"{name}={value}" for name, value in action.parameters.items()), *action.code]
        return f"run {(action.run or '')[:12]} again with {_line(', '.join(changed))}"
    planned = plan.planned(plan.path)
    count = 0 if planned is None else planned.counts[0] + planned.counts[1]
    rows = "1 row" if count == 1 else f"{count} rows"
    return f"{_done(action)} {rows} of {path}"


def _done(action: Action) -> str:
    values = _line(", ".join(f"{name}={value}" for name, value in action.values.items()))
    return {
        ActionKind.DROP: "drop",
        ActionKind.SET: f"set {values} in",
        ActionKind.PATCH: "patch",
        ActionKind.RELABEL: "relabel",
        ActionKind.EXCLUDE_SOURCE: f"exclude source {action.source}:",
        ActionKind.WITHDRAW_SOURCE: f"withdraw source {action.source}:",
    }[action.kind]


def _line(text: str) -> str:
    return " ".join(text.encode("utf-8", "replace").decode().split())[:120]
