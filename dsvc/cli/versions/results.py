"""What verbs that move the working tree or merge say afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.versions.changes import conflict_fields, list_skipped, show_conflict, skipped_fields
from dsvc.cli.writing.sizes import show_bytes

if TYPE_CHECKING:
    from dsvc.porcelain.state.values import CheckoutResult, CommitResult, MergeOutcome


def checkout_fields(result: CheckoutResult) -> dict[str, object]:
    """Return the outcome of a checkout as JSON."""
    return {
        "head": result.head,
        "branch": result.branch,
        "written": result.written,
        "removed": result.removed,
        "unchanged": result.unchanged,
        "bytes": result.bytes,
        "saved": result.saved,
        "undo": result.undo,
        "skipped": skipped_fields(result.skipped),
    }


def report_checkout(session: Session, result: CheckoutResult, headline: str | None = None) -> None:
    """Say what a checkout wrote, and how to take back what it discarded."""
    output = session.output
    output.json(checkout_fields(result))
    if headline:
        output.line(headline)
    parts = []
    if result.written:
        written = ngettext("{n} file written", "{n} files written", result.written)
        parts.append(_("{written} ({size})").format(written=written, size=show_bytes(result.bytes)))
    if result.removed:
        parts.append(ngettext("{n} file removed", "{n} files removed", result.removed))
    if parts:
        output.line(_(", ").join(parts))
    list_skipped(session, result.skipped)
    report_saved(session, result)


def report_saved(session: Session, result: CheckoutResult) -> None:
    """Say what was kept before it was overwritten, and how to bring it back."""
    if result.saved:
        kept = ngettext(
            "{n} file was stored before it was overwritten or removed",
            "{n} files were stored before they were overwritten or removed",
            result.saved,
        )
        session.output.line(_("{kept}; undo with: dsvc undo").format(kept=kept))


def commit_fields(result: CommitResult) -> dict[str, object]:
    """Return a commit that was made as JSON."""
    return {
        "commit": result.commit,
        "branch": result.branch,
        "parents": list(result.parents),
        "manifest": result.manifest.hex(),
        "files": result.files,
        "bytes": result.bytes,
        "verdict": result.verdict,
        "changes": result.changes,
        "uncovered": result.uncovered,
        "uncovered_is_least": result.uncovered_is_least,
        "warnings": list(result.warnings),
    }


def merge_fields(outcome: MergeOutcome) -> dict[str, object]:
    """Return the outcome of a merge as JSON."""
    return {
        "commit": outcome.commit,
        "conflicts": [conflict_fields(conflict) for conflict in outcome.conflicts],
        "fast_forward": outcome.fast_forward,
        "up_to_date": outcome.up_to_date,
    }


def report_merge(session: Session, outcome: MergeOutcome, done: str, resume: str) -> None:
    """Say what came of a merge, revert, cherry-pick or stash pop.

    Parameters
    ----------
    done : str
        The line for a merge without conflicts.
    resume : str
        The hint for what to do when all conflicts are settled.

    Raises
    ------
    MergeConflictError
        If there are conflicts; they have been written before.
    """
    output = session.output
    output.json(merge_fields(outcome))
    if not outcome.conflicts:
        output.line(_("already up to date") if outcome.up_to_date else done)
        return
    from dsvc.model.errors import MergeConflictError

    for conflict in outcome.conflicts:
        line = _("conflict: {path} ({kind})").format(
            path=session.name(conflict.path), kind=show_conflict(conflict.kind, conflict.rows)
        )
        output.line(output.style(line, "red"))
    count = ngettext(
        "{n} conflict is left to settle", "{n} conflicts are left to settle", len(outcome.conflicts)
    )
    raise MergeConflictError(count, hint=resume)
