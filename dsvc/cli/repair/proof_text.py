"""The proof of a repair, as JSON and for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import path_fields, show_digest
from dsvc.cli.writing.plain_table import column_lines
from dsvc.model.repair_proof import UnprovedReason

if TYPE_CHECKING:
    from dsvc.model.repair_proof import ArtifactProof, Proof


def proof_fields(proof: Proof) -> dict[str, object]:
    """Return a proof as JSON."""
    return {
        "flagged_changed": proof.flagged_changed,
        "selected_changed": proof.selected_changed,
        "consequent_changed": proof.consequent_changed,
        "others_changed": proof.others_changed,
        "unproved": [{**path_fields(each.path), "reason": each.reason.value} for each in proof.unproved],
        "conserved": proof.conserved,
        "not_as_asked": proof.not_as_asked,
        "files_unchanged": proof.files_unchanged,
        "artifacts": [_artifact_fields(each) for each in proof.artifacts],
    }


def _artifact_fields(proof: ArtifactProof) -> dict[str, object]:
    return {
        **path_fields(proof.path),
        "before": show_digest(proof.before) if proof.before else None,
        "after": show_digest(proof.after) if proof.after else None,
        "flagged_changed": proof.flagged_changed,
        "selected_changed": proof.selected_changed,
        "consequent_changed": proof.consequent_changed,
        "others_changed": proof.others_changed,
        "further": proof.further,
        "came": proof.came,
    }


def proof_lines(session: Session, proof: Proof) -> Iterator[str]:
    """Yield the lines that show a proof."""
    rows = [
        (
            session.name(each.path) or ".",
            *(
                f"{count:,}"
                for count in (
                    each.flagged_changed,
                    each.selected_changed,
                    each.consequent_changed,
                    each.others_changed,
                )
            ),
        )
        for each in proof.artifacts
    ]
    head = (_("rows that changed or went"), _("flagged"), _("selected"), _("consequent"), _("others"))
    yield from column_lines([head, *rows], right={1, 2, 3, 4})
    further = sum(each.further for each in proof.artifacts)
    if further:
        text = _("of the consequent ones only the new row maps tell: {rows}")
        yield text.format(rows=ngettext("{n} row", "{n} rows", further))
    yield _("as before: {files}; every run accounts for every row").format(
        files=ngettext("{n} file", "{n} files", proof.files_unchanged)
    )
    for each in proof.unproved:
        yield _("not proven, {path}: {why}").format(
            path=session.name(each.path) or ".", why=_reasons()[each.reason]
        )


def _reasons() -> dict[UnprovedReason, str]:
    return {
        UnprovedReason.ANY_ROW: _(
            "any row may differ, and it isn't known whether its run makes the same twice"
        ),
        UnprovedReason.NO_ROWS: _("it has no rows that could be compared"),
        UnprovedReason.NO_MAP: _("it is not known which rows its new ones came from"),
        UnprovedReason.INCOMPLETE: _("its run didn't account for every row before either"),
        UnprovedReason.LISTING: _("it is not known any more which files it had"),
        UnprovedReason.MALFORMED: _("it has records that can't be read"),
    }
