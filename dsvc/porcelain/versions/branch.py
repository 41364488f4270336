"""branch: list, make, move, delete and rename; each change is one operation that `undo` takes back."""

from __future__ import annotations

from dsvc.history.ref_name import HEADS, branch_ref
from dsvc.history.refs import RefChange
from dsvc.model.errors import NotFoundError
from dsvc.model.ids import CommitId
from dsvc.porcelain.state.ref_moves import (
    CurrentBranchError,
    RefExistsError,
    UnmergedBranchError,
    moving_refs,
    unknown_ref,
)
from dsvc.porcelain.state.values import RefInfo
from dsvc.porcelain.state.workspace import Workspace


def branches(repo: Workspace) -> list[RefInfo]:
    """List branches by name; one without a commit yet isn't listed."""
    current = repo.history.refs.head_as_is().branch
    return [
        RefInfo(name=ref.removeprefix(HEADS), commit=commit, current=ref == current)
        for ref, commit in repo.history.refs.list(HEADS).items()
    ]


def create(repo: Workspace, name: str, rev: str | None = None, *, force: bool = False) -> RefInfo:
    """Make a branch at a revision (None: HEAD); HEAD stays where it is.

    Parameters
    ----------
    force : bool
        Move the branch if it exists.

    Raises
    ------
    RefExistsError
        If it exists and `force` is off.
    CurrentBranchError
        If HEAD stands on it.
    NotFoundError
        If there is no such revision, or HEAD has no commit yet.
    RefConflictError
        If the name would be a folder of another branch's, or the other way round.
    MalformedInputError
        If the name may not be made.
    """
    ref = branch_ref(name)
    with moving_refs(repo):
        commit = repo.history.revisions.resolve("HEAD" if rev is None else rev)
        old = repo.history.refs.get(ref)
        if old is not None and not force:
            raise RefExistsError(
                f"the branch {name} exists already",
                hint=f"dsvc checkout {name} moves to it; --force moves the branch",
                details={"ref": ref},
            )
        if ref == repo.history.refs.head_as_is().branch:
            raise CurrentBranchError(
                f"HEAD stands on the branch {name}", hint=f"dsvc reset {rev or 'REV'} moves it"
            )
        if old != commit:
            repo.record(
                "branch",
                arguments=[name] if rev is None else [name, rev],
                changes=[RefChange(ref, old, commit)],
                message=f"branch: {'made' if old is None else 'moved'} at {rev or 'HEAD'}",
            )
    return RefInfo(name=name, commit=commit)


def _commit_of(repo: Workspace, name: str) -> tuple[str, CommitId]:
    ref = branch_ref(name)
    commit = repo.history.refs.get(ref)
    if commit is None:
        raise unknown_ref("branch", name, (found.name for found in branches(repo)))
    return ref, commit


def delete(repo: Workspace, name: str, *, force: bool = False) -> RefInfo:
    """Delete a branch; its reflog stays, and `undo` brings it back.

    Parameters
    ----------
    force : bool
        Delete it even if it holds commits that HEAD doesn't.

    Raises
    ------
    NotFoundError
        If there is no such branch.
    CurrentBranchError
        If HEAD stands on it.
    UnmergedBranchError
        If it isn't merged into HEAD and `force` is off.
    """
    head = repo.history.refs.head()
    if head.branch == HEADS + name:
        raise CurrentBranchError(
            f"HEAD stands on the branch {name}", hint="move to another one first: dsvc checkout BRANCH"
        )
    ref, commit = _commit_of(repo, name)
    if not force and (head.commit is None or not repo.history.is_ancestor(commit, head.commit)):
        raise UnmergedBranchError(
            f"the branch {name} is not merged into HEAD",
            hint=f"dsvc merge {name} merges it; --force deletes it all the same",
            details={"ref": ref, "commit": str(commit)},
        )
    repo.record(
        "branch",
        arguments=["-d", name],
        changes=[RefChange(ref, commit, None)],
        message=f"branch: deleted {name}",
    )
    return RefInfo(name=name, commit=commit)


def rename(repo: Workspace, old: str, new: str) -> RefInfo:
    """Rename a branch with its reflog; HEAD goes along where it stands on it.

    Raises
    ------
    NotFoundError
        If there is no such branch, or it has no commit yet.
    RefExistsError
        If there is one of the new name.
    RefConflictError
        If the name would be a folder of another branch's (``a`` can't become ``a/b`` in one step).
    MalformedInputError
        If the new name may not be made.
    """
    target = branch_ref(new)
    head = repo.history.refs.head()
    is_current = head.branch == HEADS + old
    if is_current and head.commit is None:
        raise NotFoundError(f"the branch {old} has no commit yet", hint="make one, then rename the branch")
    ref, commit = _commit_of(repo, old)
    if ref == target:
        return RefInfo(name=new, commit=commit, current=is_current)
    if repo.history.refs.get(target) is not None:
        raise RefExistsError(
            f"the branch {new} exists already", hint="delete or rename it first", details={"ref": target}
        )
    with repo.history.refs.locked():
        repo.history.refs.expect(ref, commit)
        repo.history.refs.inherit_reflog(target, ref)
        repo.record(
            "branch",
            arguments=["-m", old, new],
            changes=[RefChange(ref, commit, None), RefChange(target, None, commit)],
            head=target if is_current else None,
            message=f"branch: renamed {old} to {new}",
        )
    return RefInfo(name=new, commit=commit, current=is_current)
