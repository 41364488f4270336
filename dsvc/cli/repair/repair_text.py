"""Repairs as JSON and for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dsvc.cli.feedback.defect_drawing import repair_statuses
from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.repair.proof_text import proof_fields, proof_lines
from dsvc.cli.writing.names import path_fields, show_digest, show_line, show_text
from dsvc.cli.writing.plain_table import column_lines
from dsvc.cli.writing.sizes import pad, shorten
from dsvc.model.repair import ActionKind, Scope, StepKind, StepReason

if TYPE_CHECKING:
    from dsvc.model.repair import Action, Plan, PlannedRows, PlanStep
    from dsvc.porcelain.records.repair_chain import RepairState
    from dsvc.porcelain.repair.repair_view import RepairView, SampleRow

_VALUE_WIDTH = 40
_COLUMNS = 4


# JSON


def repair_fields(state: RepairState) -> dict[str, object]:
    """Return a repair as JSON."""
    plan = state.plan
    return {
        "repair": state.id,
        "defect": plan.defect,
        "status": state.status.value,
        "scope": plan.scope.value,
        "causes": list(plan.causes),
        "action": _action_fields(plan.action),
        **path_fields(plan.path),
        "base": plan.base,
        "branch": plan.branch.removeprefix("refs/heads/") or None,
        "steps": [_step_fields(step) for step in plan.steps],
        "rows_affected": plan.rows_affected,
        "rows_recomputed": plan.rows_recomputed,
        "artifacts": [_rows_fields(each) for each in plan.rows],
        "releases": list(plan.releases),
        "seconds": round(sum(step.seconds for step in plan.steps), 3),
        "gone": sum(each.count for each in plan.gone),
        "left": plan.left_count,
        "beyond": plan.beyond,
        "returning": plan.returning,
        "blocked": plan.blocked or None,
        "done": sorted(state.steps),
        "commit": state.commit,
        "feedback": state.feedback,
        "proof": None if state.proof is None else proof_fields(state.proof),
        "made_at": plan.made_at,
        "by": plan.by,
    }


def view_fields(view: RepairView) -> dict[str, object]:
    """Return a repair as JSON, with some of its rows."""
    samples = [{"row": each.name, "before": each.before, "after": each.after} for each in view.samples]
    return {**repair_fields(view.state), "samples": samples}


def _action_fields(action: Action) -> dict[str, object]:
    return {
        "kind": action.kind.value,
        "values": dict(action.values),
        "file": action.file,
        "key": list(action.key),
        "source": action.source,
        "run": action.run,
        "parameters": dict(action.parameters),
        "code": dict(action.code),
    }


def _step_fields(step: PlanStep) -> dict[str, object]:
    return {
        "kind": step.kind.value,
        "name": step.name,
        "run": step.run,
        "outputs": [path_fields(path) for path in step.outputs],
        "rows": step.rows,
        "because": None if step.because is None else step.because.value,
        "seconds": step.seconds,
        "origin": path_fields(step.origin) if step.origin else None,
        "blocked": step.blocked or None,
    }


def _rows_fields(planned: PlannedRows) -> dict[str, object]:
    flagged, selected, consequent = planned.counts
    return {
        **path_fields(planned.path),
        "digest": show_digest(planned.digest),
        "folder": planned.folder,
        "records": planned.records,
        "rows": sum(planned.counts),
        "flagged": flagged,
        "selected": selected,
        "consequent": consequent,
        "unknown": planned.unknown,
    }


# Text


def step_reasons() -> dict[StepReason, str]:
    """Why a step computes more than the rows of the plan."""
    return {
        StepReason.NOT_ROWWISE: _("its command looks at other rows too"),
        StepReason.NO_MAP: _("it is not known which rows became which"),
        StepReason.LOOKUP: _("what it looks things up in changes"),
        StepReason.INPUTS: _("which rows, is known once its inputs are made"),
    }


def list_repairs(session: Session, found: Sequence[RepairState]) -> None:
    """Show repairs, one a line."""
    output = session.output
    for state in found:
        output.json(repair_fields(state))
    if session.as_json:
        return
    for state in found:
        plan, status = state.plan, repair_statuses()[state.status]
        rows = ngettext("{n} row", "{n} rows", plan.rows_affected)
        line = f"{state.id}  {pad(status, 13)}  {plan.defect}  {_action(session, plan)}"
        output.answer(_("{line}, {rows}").format(line=line, rows=rows))
    if not found:
        output.line(_("no repairs"))


def show_repair(session: Session, view: RepairView) -> None:
    """Show a repair: what it does, its steps, its rows, some of them before and after."""
    output, state = session.output, view.state
    output.json(view_fields(view))
    if session.as_json:
        return
    plan = state.plan
    head = _("repair {id} of {defect}: {status}").format(
        id=output.style(state.id, "bold"), defect=plan.defect, status=repair_statuses()[state.status]
    )
    with session.paged():
        output.answer(head)
        output.answer(_action(session, plan))
        for section in _sections(session, view):
            lines = list(section)
            if lines:
                output.answer()
            for line in lines:
                output.answer(line)
        output.answer()
        for line in _notes(session, state):
            output.answer(line)


def _sections(session: Session, view: RepairView) -> Iterator[Iterator[str]]:
    state = view.state
    yield _steps(session, state)
    yield _rows(session, state.plan)
    yield _samples(view.samples)
    if state.proof is not None:
        yield proof_lines(session, state.proof)


def _action(session: Session, plan: Plan) -> str:
    """What is done to which rows, on one line."""
    action, path = plan.action, session.name(plan.path)
    if action.kind is ActionKind.RERUN:
        changed = [f"{name}={value}" for name, value in action.parameters.items()]
        changed += [show_text(name) for name in action.code]
        run = (action.run or "")[:12]
        return _("run {run} again with {changes}").format(run=run, changes=show_line(_(", ").join(changed)))
    values = _(", ").join(f"{name}={value}" for name, value in action.values.items())
    done = {
        ActionKind.DROP: _("drop rows of {path}"),
        ActionKind.SET: _("set {values} in rows of {path}"),
        ActionKind.PATCH: _("patch {path} with {file}"),
        ActionKind.RELABEL: _("give rows of {path} the values of {file}"),
        ActionKind.EXCLUDE_SOURCE: _("drop rows of {path} that came from source {source}"),
        ActionKind.WITHDRAW_SOURCE: _("withdraw source {source} and drop its rows of {path}"),
    }[action.kind].format(
        path=path, values=show_line(values), file=show_line(action.file or ""), source=action.source
    )
    if plan.scope is Scope.CAUSE:
        causes = show_line(_(", ").join(plan.causes))
        done = _("{done}; also of the same cause: {causes}").format(done=done, causes=causes)
    return done


def step_names() -> dict[StepKind, str]:
    """What steps of each kind are called."""
    return {
        StepKind.EDIT: _("edit"),
        StepKind.ROWS: _("affected rows of {name}"),
        StepKind.WHOLE: _("all of {name}"),
        StepKind.COPY: _("copy"),
    }


def _steps(session: Session, state: RepairState) -> Iterator[str]:
    names, rows = step_names(), []
    for number, step in enumerate(state.plan.steps):
        mark = "*" if number in state.steps else " "
        what = names[step.kind].format(name=show_line(step.name))
        count = f"{step.rows:,}" if step.kind in (StepKind.ROWS, StepKind.WHOLE) else ""
        made = _(", ").join(session.name(path) for path in step.outputs)
        rows.append((f"{mark}{number + 1}", what, count, made))
    yield from column_lines([("", _("step"), _("rows"), _("makes")), *rows], right={2})
    for number, step in enumerate(state.plan.steps):
        if step.blocked:
            text = _("step {n} can't be done: {why}").format(n=number + 1, why=show_line(step.blocked))
            yield session.output.style(text, "red")
        elif step.because is not None:
            yield _("step {n}: {why}").format(n=number + 1, why=step_reasons()[step.because])


def _rows(session: Session, plan: Plan) -> Iterator[str]:
    rows = []
    for each in plan.rows:
        counts = [f"{count:,}" for count in each.counts]
        if each.unknown:
            counts[2] = _("any")
        rows.append((session.name(each.path), *counts, f"{each.records:,}"))
    names = (_("rows that change or go"), _("flagged"), _("selected"), _("consequent"), _("of"))
    yield from column_lines([names, *rows], right={1, 2, 3, 4})


def _samples(samples: Sequence[SampleRow]) -> Iterator[str]:
    for each in samples:
        if each.after is None:
            shown = list(each.before.items())[:_COLUMNS]
            values = _(", ").join(f"{show_line(name)}={_value(value)}" for name, value in shown)
            yield _("{row} goes: {values}").format(row=show_line(each.name), values=values).rstrip(": ")
            continue
        changes = [
            f"{show_line(name)}: {_value(each.before.get(name))} -> {_value(value)}"
            for name, value in each.after.items()
        ]
        yield f"{show_line(each.name)}  {_(', ').join(changes)}"


def _value(value: str | None) -> str:
    return _("null") if value is None else shorten(show_line(value), _VALUE_WIDTH)


def _notes(session: Session, state: RepairState) -> Iterator[str]:
    plan = state.plan
    seconds = sum(step.seconds for step in plan.steps)
    rows = ngettext("{n} row", "{n} rows", plan.rows_recomputed)
    if seconds < 1:
        yield _("computes {rows}, in less than a second").format(rows=rows)
    else:
        yield _("computes {rows}, about {seconds} s").format(rows=rows, seconds=round(seconds))
    releases = _(", ").join(map(show_line, plan.releases)) or _("none")
    yield _("releases that hold such rows: {names}").format(names=releases)
    for count, text in (
        (plan.left_count, _("left as they are, with the value already or none given: {rows}")),
        (sum(each.count for each in plan.gone), _("gone already: {rows} of the defect")),
        (plan.beyond, _("touched though they are not flagged: {rows}")),
        (plan.returning, _("duplicates of these rows that may come back: {rows}")),
    ):
        if count:
            yield text.format(rows=ngettext("{n} row", "{n} rows", count))
    if state.commit is not None:
        yield _("commit {commit}").format(commit=state.commit)
    if state.feedback is not None:
        yield _("evaluated by feedback {id}").format(id=state.feedback)
