"""`dsvc show`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import complete_refs, verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.versions.changes import LETTERS, STYLES, count_files
from dsvc.cli.versions.commits import RefNames, commit_summary_fields, full_lines, signature_fields
from dsvc.cli.versions.diff_text import change_fields, show_path, show_sizes
from dsvc.cli.writing.sizes import show_bytes
from dsvc.porcelain.policy.recorded_verdict import recorded_verdict

if TYPE_CHECKING:
    from dsvc.history.commit_codec import Commit
    from dsvc.porcelain.policy.signed_commits import CommitSignature
    from dsvc.porcelain.repository import Repository


def _signature(repo: Repository, commit: Commit) -> CommitSignature | None:
    if commit.signature is None:
        return None
    from dsvc.porcelain.policy.signed_commits import SignatureReader

    return SignatureReader(repo).read(commit)


@verb("show")
@click.argument("revision", default="HEAD", metavar="[REV]", shell_complete=complete_refs)
def command(session: Session, revision: str) -> None:
    """Show one commit."""
    repo = session.repository()
    shown = repo.show(revision)
    signature = _signature(repo, shown.commit)
    verdict = recorded_verdict(shown.commit.trailers)
    output = session.output
    counts = Counter(change.kind.value for change in shown.changes)
    summary = {kind: counts[kind] for kind in ("added", "removed", "modified", "renamed")}
    output.json(
        {
            **commit_summary_fields(shown.commit, shown.refs, shown.runs),
            "verdict": None if verdict is None else verdict[0],
            "verdict_digest": None if verdict is None else verdict[1],
            "signature": signature_fields(signature),
            "summary": summary,
            "changes": [change_fields(change) for change in shown.changes],
        }
    )
    if session.as_json:
        return
    with session.paged():
        names = RefNames(repo).show(output, shown.commit, shown.refs)
        for line in full_lines(output, shown.commit, names, signature):
            output.answer(line)
        output.answer()
        output.answer(count_files(summary))
        for change in shown.changes:
            letter = output.style(LETTERS[change.kind.value], STYLES[change.kind.value])
            output.answer(f"  {letter} {show_path(change)} ({show_sizes(change)})")
        files = ngettext("{n} file", "{n} files", shown.commit.files)
        output.answer(
            _("the version has {files}, {size}").format(files=files, size=show_bytes(shown.commit.bytes))
        )
