"""What the record says of itself: refs that are not where the log left them, signatures that are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dsvc.history.refs import OPERATIONS
from dsvc.model.errors import DsvcError, MalformedInputError
from dsvc.model.ids import CommitId
from dsvc.policy.facts import AuditFacts
from dsvc.porcelain.state.workspace import Workspace

_DELETED: Final = "refs/dsvc/deleted/"


def audit_facts(repo: Workspace, tips: Sequence[CommitId]) -> AuditFacts | None:
    """Compare refs with the log of operations, and check the signatures of a history.

    Parameters
    ----------
    tips : sequence of CommitId
        Whose history.

    Returns
    -------
    AuditFacts or None
        None where something can't be read, so that it can't be told.
    """
    try:
        return AuditFacts(tuple(_unlogged(repo)), tuple(_bad_signatures(repo, tips)))
    except DsvcError:
        return None


def _unlogged(repo: Workspace) -> Iterator[str]:
    """Refs that are elsewhere than the newest operation that moved them says."""
    refs = {
        name: tip
        for name, tip in repo.history.refs.list("refs/").items()
        if name != OPERATIONS and not name.startswith(_DELETED)
    }
    left = set(refs)
    for operation in repo.history.operations:
        if not left:
            return
        for name, _, new in operation.refs:
            if name in left:
                left.discard(name)
                if new != str(refs[name]):
                    yield name
    yield from sorted(left)


def _bad_signatures(repo: Workspace, tips: Sequence[CommitId]) -> Iterator[str]:
    from dsvc.history.ssh_signature import COMMITS, verify

    for commit in repo.history.log(tips):
        if commit.signature is not None:
            try:
                verify(commit.signature, repo.history.signed_bytes(commit.id), COMMITS)
            except MalformedInputError:
                yield str(commit.id)
