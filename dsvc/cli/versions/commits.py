"""How a commit looks: for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dsvc.cli.language.i18n import _
from dsvc.cli.terminal.output import Output
from dsvc.cli.writing.names import show_line, show_text
from dsvc.cli.writing.sizes import show_date
from dsvc.porcelain.policy.recorded_verdict import recorded_verdict

if TYPE_CHECKING:
    from dsvc.history.commit_codec import Commit
    from dsvc.history.signature import Signature
    from dsvc.model.run_record import RunId
    from dsvc.porcelain.policy.signed_commits import CommitSignature
    from dsvc.porcelain.repository import Repository


def show_person(who: Signature) -> str:
    """Return ``Name <email>``."""
    return f"{who.name} <{who.email}>"


def trailer_fields(trailers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return trailers as JSON: a text for each key, lines of it where the key is repeated."""
    fields: dict[str, str] = {}
    for key, value in trailers:
        fields[key] = f"{fields[key]}\n{value}" if key in fields else value
    return fields


def commit_summary_fields(
    commit: Commit, refs: Iterable[str], runs: Iterable[RunId] = ()
) -> dict[str, object]:
    """Return a commit of the history as JSON, as `log` and `show` give it."""
    return {
        "commit": commit.id,
        "parents": list(commit.parents),
        "author": show_person(commit.author),
        "date": commit.author.rfc3339(),
        "message": commit.message,
        "refs": list(refs),
        "runs": [run.hex() for run in runs],
        "trailers": trailer_fields(commit.trailers),
        "manifest": commit.manifest.hex(),
        "files": commit.files,
        "bytes": commit.bytes,
    }


class RefNames:
    """The names that point at commits, as people see them: ``(HEAD -> main, tag: v1)``.

    Parameters
    ----------
    repo : Repository
        Asked once, when this is made.
    """

    def __init__(self, repo: Repository) -> None:
        self._current = next((branch.name for branch in repo.branches() if branch.current), None)
        self._tags = {tag.name for tag in repo.tags()}
        at = next(iter(repo.log(None, limit=1)), None) if self._current is None else None
        self._detached = None if at is None else at.commit.id

    def show(self, output: Output, commit: Commit, refs: Iterable[str]) -> str:
        """Return the names in round brackets, with a blank before; or nothing."""
        shown = [output.style("HEAD", "head")] if commit.id == self._detached else []
        for ref in refs:
            name = show_line(ref)
            if ref == self._current:
                shown.insert(0, output.style("HEAD -> ", "head") + output.style(name, "ref"))
            elif ref in self._tags:
                shown.append(output.style(f"tag: {name}", "tag"))
            else:
                shown.append(output.style(name, "ref"))
        return f" ({', '.join(shown)})" if shown else ""


def one_line(output: Output, commit: Commit, names: str) -> str:
    """Return a commit on one line."""
    lines = commit.message.strip().splitlines() or [""]
    return f"{output.style(commit.id[:8], 'id')}{names} {show_line(lines[0])}".rstrip()


def signature_fields(signature: CommitSignature | None) -> dict[str, object] | None:
    """Return the signature of a commit as JSON."""
    if signature is None:
        return None
    return {
        "state": signature.state.value,
        "key": signature.key,
        "signer": signature.signer,
        "problem": signature.problem,
    }


def signature_line(output: Output, signature: CommitSignature) -> str:
    """Return a line that says whose signature a commit carries."""
    if signature.key is not None:
        who = signature.signer or _("not on the roster")
        text = _("{who}, {key}").format(who=show_line(who), key=signature.key)
        return _("Signed: {text}").format(text=text)
    problem = show_line(signature.problem or "")
    if signature.state.value == "unknown":
        return output.style(_("Signed: can't be told: {problem}").format(problem=problem), "warning")
    return output.style(_("Signed: the signature is bad: {problem}").format(problem=problem), "error")


def full_lines(
    output: Output, commit: Commit, names: str, signature: CommitSignature | None = None
) -> Iterator[str]:
    """Yield the lines of a commit in full, without an empty line at the end."""
    yield output.style(_("commit {id}").format(id=commit.id), "id") + names
    if signature is not None:
        yield signature_line(output, signature)
    if len(commit.parents) > 1:
        yield _("Merge:  {ids}").format(ids=" ".join(parent[:8] for parent in commit.parents))
    yield _("Author: {who}").format(who=show_line(show_person(commit.author)))
    date = show_date(commit.author.seconds, commit.author.offset_minutes)
    yield _("Date:   {date}").format(date=date)
    if ("Dsvc-No-Verify", "true") in commit.trailers:
        yield output.style(_("Gate:   not asked (--no-verify)"), "warning")
    verdict = recorded_verdict(commit.trailers)
    if verdict is not None:
        yield _("Gate:   {outcome}, verdict {digest}").format(outcome=verdict[0], digest=verdict[1][:12])
    yield ""
    for line in commit.message.strip("\n").split("\n"):
        yield f"    {show_text(line)}".rstrip()
