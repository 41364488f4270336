"""Verbs on repairs: planned, applied, listed, shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.porcelain.records.repair_chain import RepairState
    from dsvc.porcelain.repair.repair_apply import RepairApplied
    from dsvc.porcelain.repair.repair_carrying import StepDone
    from dsvc.porcelain.repair.repair_verify import VerifyResult
    from dsvc.porcelain.repair.repair_view import RepairView
    from dsvc.porcelain.runs.rerun import Carrier


class RepairVerbs(Workspace):
    """The part of `dsvc.Repository` that knows repairs."""

    def repair_plan(
        self,
        defect: str,
        *,
        scope: str = "flagged",
        causes: Sequence[str] = (),
        at: bytes | None = None,
        drop: bool = False,
        values: Mapping[str, str] | None = None,
        patch: str | None = None,
        relabel: str | None = None,
        key: Sequence[str] = (),
        exclude_source: str | None = None,
        withdraw_source: str | None = None,
        rerun: str | None = None,
        parameters: Mapping[str, str] | None = None,
        code: Mapping[bytes, str] | None = None,
    ) -> RepairView:
        """Plan a repair, which changes nothing else; see `repair_plan.plan_repair`.

        Exactly one of `drop`, `values`, `patch`, `relabel`, `exclude_source`, `withdraw_source` and `rerun`
        says what is done to the rows of a defect.

        Parameters
        ----------
        defect : str
            At least the first digits of its id.
        scope : str
            ``flagged``, or ``cause``: also rows that share its causes.
        causes : sequence of str
            Causes whose rows are taken, as ``annotator ann-07``, in place of those that the ranking names.
        at : bytes or None
            Artifact that is changed in place of the flagged one, an ancestor of it.
        values : mapping of str to str
            New values by column, as text.
        patch, relabel : str or None
            Paths of files: a patch of the table, or a table of new values; a table of values by key.
        key : sequence of str
            Columns by which these name rows; those of ``dsvc.toml`` by default.
        rerun : str or None
            Id or name of a run, with `parameters`, or `code`: new files by the paths of the old ones.

        Raises
        ------
        UsageError
            If `scope` is none; else as `repair_plan.plan_repair`.
        """
        from dsvc.model.errors import UsageError
        from dsvc.model.repair import Scope
        from dsvc.porcelain.repair.repair_plan import plan_repair
        from dsvc.porcelain.repair.repair_request import RepairRequest
        from dsvc.porcelain.repair.repair_view import RepairView, samples_of

        if scope not in tuple(Scope):
            raise UsageError(f"{scope[:80]!r} is no scope", hint="flagged or cause")
        request = RepairRequest(
            scope=Scope(scope),
            causes=tuple(causes),
            at=at,
            drop=drop,
            values=values or {},
            patch=patch,
            relabel=relabel,
            key=tuple(key),
            exclude_source=exclude_source,
            withdraw_source=withdraw_source,
            rerun=rerun,
            parameters=parameters or {},
            code=code or {},
        )
        state, is_new, edits = plan_repair(self, defect, request)
        return RepairView(state, samples_of(self, state.plan, edits), is_new)

    def repair_apply(
        self,
        repair: str,
        how: Carrier,
        *,
        sign: bool | None = None,
        no_verify: bool = False,
        on_step: Callable[[StepDone], None] | None = None,
    ) -> RepairApplied:
        """Carry a repair out, prove it and commit it on a branch of its own.

        It runs recorded commands, in scratch folders; see `repair_apply.apply_repair`.
        """
        from dsvc.porcelain.repair.repair_apply import apply_repair

        return apply_repair(self, repair, how, sign=sign, no_verify=no_verify, on_step=on_step)

    def repair_give_up(self, repair: str) -> RepairState:
        """Take finished steps of a repair back; see `repair_apply.give_up`."""
        from dsvc.porcelain.repair.repair_apply import give_up

        return give_up(self, repair)

    def repair_verify(self, repair: str, feedback: str, *, accept_point: str | None = None) -> VerifyResult:
        """Close the defect of a repair, or send the repair back, as a later evaluation says.

        Parameters and errors are those of `repair_verify.verify_repair`.
        """
        from dsvc.porcelain.repair.repair_verify import verify_repair

        return verify_repair(self, repair, feedback, accept_point=accept_point)

    def repairs(self) -> list[RepairState]:
        """Every repair as it is now, by id; see `repair_view.repair_list`."""
        from dsvc.porcelain.repair.repair_view import repair_list

        return repair_list(self)

    def repair(self, repair_id: str) -> RepairView:
        """One repair with some of its rows; see `repair_view.repair_show`."""
        from dsvc.porcelain.repair.repair_view import repair_show

        return repair_show(self, repair_id)
