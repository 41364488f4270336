"""A recorded run, as JSON and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import N_, _, ngettext
from dsvc.cli.writing.names import path_fields, show_digest, show_line
from dsvc.cli.writing.plain_table import column_lines
from dsvc.model.run_record import Capture, Role

if TYPE_CHECKING:
    from dsvc.model.run_record import Artifact, Run, RunId
    from dsvc.porcelain.runs.run_storage import RunResult

_FATES = {
    "kept": N_("kept"),
    "changed": N_("changed"),
    "merged": N_("merged"),
    "split": N_("split"),
    "dropped": N_("dropped"),
}
_HOW = {
    Capture.CARRIED: N_("rows followed by the ids that they carried"),
    Capture.MAP: N_("rows followed by the command's own map"),
    Capture.KEY: N_("rows followed by key"),
    Capture.CONTENT: N_("rows followed by equal content"),
}
_SHOWN_PATHS = 3
_SHOWN_PROBLEMS = 10


def _artifact_fields(artifact: Artifact) -> dict[str, object]:
    return {
        **path_fields(artifact.path),
        "digest": show_digest(artifact.digest),
        "folder": artifact.folder,
    }


def run_fields(id_: RunId, run: Run) -> dict[str, object]:
    """Return a run as JSON."""
    return {
        "run": id_.hex(),
        "name": run.name,
        "kind": run.kind.value,
        "inputs": [
            {
                **_artifact_fields(each),
                "in": each.records,
                "role": each.role.value,
                "key": list(each.key),
                "duplicate_keys": each.duplicate_keys,
            }
            for each in run.inputs
        ],
        "outputs": [
            {
                **_artifact_fields(each),
                "out": each.records,
                "key": list(each.key),
                "added": each.added,
                "capture": capture_name(each.capture),
            }
            for each in run.outputs
        ],
        "rows": run.rows,
        "drops": dict(run.drops),
        "duplicate_keys": run.duplicate_keys,
        "capture": capture_name(run.capture),
        "complete": run.complete,
        "problems": list(run.problems),
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "exit_status": run.exit_status,
    }


def show_fate(name: str) -> str:
    """Return what became of rows, or ``added``, in a word."""
    return _("added") if name == "added" else _(_FATES.get(name, name))


def capture_name(capture: Capture) -> str | None:
    """Return how rows were followed; None where nothing has rows."""
    return None if capture is Capture.NONE else capture.value


def report_run(session: Session, result: RunResult) -> None:
    """Say what a run did: a line, a table of what became of the rows, why some are gone, what isn't known."""
    output = session.output
    output.json(run_fields(result.id, result.run))
    if session.as_json:
        return
    run = result.run
    output.line(
        _("recorded {name} {id}: {inputs} → {outputs}").format(
            name=show_line(run.name),
            id=output.style(result.id.short(), "id"),
            inputs=_paths(session, [each for each in run.inputs if each.role is Role.INPUT]) or _("nothing"),
            outputs=_paths(session, run.outputs),
        )
    )
    for line in _table(session, run):
        output.line("  " + line)
    added = run.rows["added"]
    if added:
        output.line("  " + ngettext("{n} row added", "{n} rows added", added))
    if run.drops:
        reasons = _(", ").join(
            f"{show_line(reason)} {count:,}" for reason, count in sorted(run.drops.items(), key=_by_count)
        )
        output.line("  " + _("dropped because: {reasons}").format(reasons=reasons))
    if run.capture in _HOW:
        output.line("  " + _(_HOW[run.capture]))
    if not run.complete:
        _warn(session, result)


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _paths(session: Session, artifacts: tuple[Artifact, ...] | list[Artifact]) -> str:
    names = [session.name(each.path + b"/" if each.folder and each.path else each.path) for each in artifacts]
    if len(names) > _SHOWN_PATHS:
        rest = len(names) - _SHOWN_PATHS
        names = [*names[:_SHOWN_PATHS], ngettext("{n} more", "{n} more", rest)]
    return _(", ").join(names)


def _table(session: Session, run: Run) -> list[str]:
    """Lay out what became of the rows of each input."""
    rows = [
        [session.name(each.path), *(f"{getattr(each.fates, name):,}" for name in _FATES)]
        for each in run.inputs
        if each.fates is not None
    ]
    if not rows:
        return []
    table = [["", *(_(title) for title in _FATES.values())], *rows]
    return list(column_lines(table, right=range(1, len(table[0]))))


def _warn(session: Session, result: RunResult) -> None:
    """Say which rows could not be followed, and by which column they could."""
    from dsvc.porcelain.runs.run_keys import suggested_key

    for problem in result.run.problems[:_SHOWN_PROBLEMS]:
        session.output.warning(show_line(problem))
    if all(each.fates is None for each in result.run.inputs):
        return
    column = suggested_key(session.repository(), result.run)
    if column is not None:
        text = _("no two rows share a value of {column}; follow rows by it with: --key {column}")
        session.advise("run", text.format(column=show_line(column)))
    else:
        text = _("declare a key with --key COLUMN, or have the command write rowmap.parquet")
        session.advise("run", text)
