"""The steps of a repair carried out, in order, each recorded once it is done, so that none is done twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import NamedTuple

from dsvc.fs import locks
from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import MissingDataError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.model.repair import ActionKind, PlanStep, RepairOperation, RepairVerb, StepKind
from dsvc.model.run_record import RunId
from dsvc.porcelain.recompute.recompute import Edits as CellEdits
from dsvc.porcelain.recompute.recompute import NewArtifact, edit_artifact, recompute
from dsvc.porcelain.recompute.recompute_whole import outputs_before
from dsvc.porcelain.records.repair_chain import (
    ROWS,
    RepairState,
    append_repair,
    repair_code,
    repair_file,
    repair_part,
)
from dsvc.porcelain.repair.repair_chosen import chosen_inputs
from dsvc.porcelain.repair.repair_edits import Edits
from dsvc.porcelain.repair.repair_plan import plan_edits
from dsvc.porcelain.repair.repair_world import RepairWorld, encode_correspondence, made_before
from dsvc.porcelain.runs.rerun import Carrier
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.runs.run_facts import RECOMPUTED
from dsvc.porcelain.state.workspace import Workspace


class StepOutcome(StrEnum):
    """What came of a step: something new, the same as before, or nothing, since what it reads is the same."""

    MADE = "made"
    SAME = "same"
    SKIPPED = "skipped"


class StepDone(NamedTuple):
    """A step of a plan that is done.

    Attributes
    ----------
    number : int
        Its place in the plan.
    step : PlanStep
    outcome : StepOutcome
    run : RunId or None
        The run that it recorded.
    rows : int
        Rows that its command computed.
    whole : bool
        Whether it was done on all rows.
    because : str
        Why it was, where the plan said some.
    earlier : bool
        Whether it was done before, by a command that was interrupted.
    """

    number: int
    step: PlanStep
    outcome: StepOutcome
    run: RunId | None = None
    rows: int = 0
    whole: bool = False
    because: str = ""
    earlier: bool = False


@contextmanager
def storing(repo: Workspace) -> Iterator[None]:
    """Keep gc away while something is stored that nothing names yet; the working tree isn't locked."""
    with locks.hold(repo.layout.lock("store"), what="store", shared=True, timeout=repo.lock_timeout):
        repo.store.index.reload()
        yield


class Carrying:
    """Carries the steps of a repair out.

    Parameters
    ----------
    repo : Workspace
    state : RepairState
    how : Carrier

    Attributes
    ----------
    state : RepairState
        The repair with the steps that are done.
    world : RepairWorld
        What they made.
    edits : Edits or None
        What the action does to rows of its artifact; None: nothing, it does a run again.
    code : dict of bytes to bytes
        New bytes of code files.
    """

    def __init__(self, repo: Workspace, state: RepairState, how: Carrier) -> None:
        self._repo = repo
        self._how = how
        self.state = state
        plan = state.plan
        self._base = repo.manifest(repo.history.read_commit(CommitId(plan.base)).manifest)
        self.world = RepairWorld(repo, self._base)
        self.edits: Edits | None = None
        self.code: dict[bytes, bytes] = {}
        if plan.action.kind is ActionKind.RERUN:
            self.code = repair_code(repo, state)
        else:
            file = b"" if plan.action.file is None else repair_file(repo, state, plan.action.file)
            self.edits = plan_edits(repo, plan, file)

    def carry_out(self, on_step: Callable[[StepDone], None] | None = None) -> list[StepDone]:
        """Do what isn't done yet.

        Raises
        ------
        RerunFailedError, CommandFailedError, CommandTimeoutError, OutputMissingError
            If a command fails, or doesn't make what it made before; the steps before it stay done.
        DsvcError
            As `recompute.recompute`.
        """
        found = []
        for number, step in enumerate(self.state.plan.steps):
            done = self._step(number, step)
            if on_step is not None:
                on_step(done)
            found.append(done)
        return found

    def _step(self, number: int, step: PlanStep) -> StepDone:
        if number in self.state.steps:
            return self._again(number, step)
        if step.kind is StepKind.COPY:
            copied = self.world.copy(step.origin, step.outputs)
            return StepDone(number, step, StepOutcome.MADE if copied else StepOutcome.SKIPPED)
        with storing(self._repo):
            return self._edit(number, step) if step.kind is StepKind.EDIT else self._run(number, step)

    def _again(self, number: int, step: PlanStep) -> StepDone:
        """Take over what an earlier command did."""
        tree = RunTree(self._repo.store, self.state.steps[number])
        parts = {
            output: repair_part(self._repo, self.state, _part(number, output))
            for output in range(len(tree.run.outputs))
        }
        made = made_before(tree, parts)
        if step.run is None:
            before = [ArtifactFiles(o.path, o.folder, tuple(tree.input_files(0))) for o in tree.run.inputs]
        else:
            before = outputs_before(RunTree(self._repo.store, RunId.parse(step.run)))
        return recorded_step(number, step, tree)._replace(outcome=self._take(step, before, made))

    def _edit(self, number: int, step: PlanStep) -> StepDone:
        plan, edits = self.state.plan, self.edits
        assert edits is not None
        old = self._edited()
        values: dict[str, Mapping[int, str | None]] = {
            name: dict(zip(cells.rows.tolist(), cells.values, strict=True))
            for name, cells in edits.cells.items()
        }
        edited = edit_artifact(
            self._repo,
            old,
            CellEdits(drop=edits.drop, values=values),
            manual=f"dsvc repair apply {self.state.id}",
            parameters={"defect": plan.defect, "repair": self.state.id},
        )
        if edited.run is None:
            return StepDone(number, step, StepOutcome.SAME)
        self._record(number, edited.run.id, [edited.artifact])
        return StepDone(number, step, self._take(step, [old], [edited.artifact]), edited.run.id)

    def _edited(self) -> ArtifactFiles:
        """The artifact that the action changes, as it is."""
        plan = self.state.plan
        planned = plan.planned(plan.path)
        entry = self._base.get(plan.path)
        if entry is not None and not (planned is not None and planned.folder):
            return ArtifactFiles(plan.path, False, (entry,))
        entries: tuple[Entry, ...] = tuple(self._base.entries(plan.path))
        if not entries:
            raise MissingDataError(f"the version that repair {self.state.id} starts from lacks its artifact")
        return ArtifactFiles(plan.path, True, entries)

    def _run(self, number: int, step: PlanStep) -> StepDone:
        action = self.state.plan.action
        tree = RunTree(self._repo.store, RunId.parse(step.run or ""))
        inputs, changed = self.world.inputs(tree), action.run == step.run
        if not inputs and not changed:
            return StepDone(number, step, StepOutcome.SKIPPED)
        if changed:
            inputs = {**chosen_inputs(self.state.plan, tree), **inputs}
        done = recompute(
            self._repo,
            tree,
            inputs,
            self._how,
            parameters=action.parameters if changed else None,
            code=self.code if changed else None,
        )
        self._record(number, done.run.id, done.outputs)
        outcome = self._take(step, outputs_before(tree), done.outputs)
        return StepDone(number, step, outcome, done.run.id, done.rows_recomputed, done.whole, done.because)

    def _record(self, number: int, run: RunId, made: Sequence[NewArtifact]) -> None:
        who = self._repo.signature()
        operation = RepairOperation(
            verb=RepairVerb.STEP,
            at=who.rfc3339(),
            by=f"{who.name} <{who.email}>",
            step=number,
            run=run.hex(),
        )
        parts = {
            _part(number, output): encode_correspondence(each.correspondence)
            for output, each in enumerate(made)
            if each.correspondence is not None
        }
        self.state = append_repair(self._repo, self.state, operation, run=run, parts=parts)

    def _take(
        self, step: PlanStep, before: Sequence[ArtifactFiles], made: Sequence[NewArtifact]
    ) -> StepOutcome:
        """Note what a step made, of what the plan says that it makes."""
        wanted = [each for each in before if each.path in step.outputs]
        now = {(each.files.path, each.files.folder): each for each in made}
        old = {(each.path, each.folder) for each in before}
        same = True
        for each in wanted:
            new = now.get((each.path, each.folder))
            if new is None:
                self.world.remove(each)
            else:
                self.world.put(each, new)
            same = same and new is not None and new.is_same_as(each.artifact().digest)
        for place, fresh in now.items():
            if place not in old:
                same = False
                self.world.add(fresh.files.entries, beside=[e for each in wanted for e in each.entries])
        return StepOutcome.SAME if same else StepOutcome.MADE


def _part(number: int, output: int) -> bytes:
    return ROWS + b"/%d-%d" % (number, output)


def recorded_step(number: int, step: PlanStep, tree: RunTree) -> StepDone:
    """A step that was done before, by what its run says."""
    if step.kind is StepKind.EDIT:
        return StepDone(number, step, StepOutcome.MADE, tree.id, earlier=True)
    facts, read = tree.run.facts, tree.run.inputs
    whole = RECOMPUTED not in facts
    rows = sum(each.records or 0 for each in read if each.fates is not None) if whole else facts[RECOMPUTED]
    return StepDone(number, step, StepOutcome.MADE, tree.id, int(rows), whole, earlier=True)
