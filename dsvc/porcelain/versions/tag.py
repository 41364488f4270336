"""tag: list, make and delete, plain or with a message; each change is one operation that `undo` reverts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dsvc.history.git_object import GitObject, parse_tag
from dsvc.history.ref_name import TAGS, tag_ref
from dsvc.history.refs import RefChange
from dsvc.history.trailers import clean_text
from dsvc.model.errors import UsageError
from dsvc.model.ids import CommitId
from dsvc.porcelain.state.ref_moves import RefExistsError, moving_refs, unknown_ref
from dsvc.porcelain.state.values import RefInfo
from dsvc.porcelain.state.workspace import Workspace

_RELEASES: Final = "refs/dsvc/releases/"


class ReleaseTagError(UsageError):
    """A tag belongs to a release, and stays where it is."""

    code = "release-tag"


def _check_no_release(repo: Workspace, name: str) -> None:
    """Refuse to move or delete the tag that a release made: it could not be verified any more."""
    if repo.history.refs.get(_RELEASES + name) is None:
        return
    from dsvc.porcelain.records.release_chain import release_head

    if release_head(repo, name).created is not None:
        raise ReleaseTagError(
            f"the tag {name} is that of a release",
            hint=f"dsvc release withdraw {name} says that nobody should use it",
            details={"release": name},
        )


def tags(repo: Workspace) -> list[RefInfo]:
    """List tags by name: the commits that they lead to, and the messages of annotated ones.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a tag is damaged.
    """
    return [_info(repo, ref.removeprefix(TAGS), value) for ref, value in repo.history.refs.list(TAGS).items()]


def _info(repo: Workspace, name: str, value: CommitId) -> RefInfo:
    kind, data = repo.history.odb.read(value)
    if kind != "tag":
        return RefInfo(name=name, commit=value)
    return RefInfo(name=name, commit=repo.history.peel(value), message=clean_text(parse_tag(data).message))


def create(
    repo: Workspace, name: str, rev: str | None = None, *, message: str | None = None, force: bool = False
) -> RefInfo:
    """Tag a revision (None: HEAD).

    Parameters
    ----------
    message : str or None
        Makes an annotated tag, which says who made it, when, and this.
    force : bool
        Move the tag if it exists.

    Raises
    ------
    RefExistsError
        If it exists and `force` is off.
    ReleaseTagError
        If it is that of a release.
    NotFoundError
        If there is no such revision, or HEAD has no commit yet.
    UsageError
        If the message is empty.
    RefConflictError
        If the name would be a folder of another tag's, or the other way round.
    MalformedInputError
        If the name may not be made, or the message has NUL.
    """
    ref = tag_ref(name)
    if message is not None and not message.strip():
        raise UsageError("the message of a tag is empty", hint="leave -m out for a tag without one")
    with moving_refs(repo):
        commit = repo.history.revisions.resolve("HEAD" if rev is None else rev)
        old = repo.history.refs.get(ref)
        if old is not None:
            _check_no_release(repo, name)
        if old is not None and not force:
            raise RefExistsError(
                f"the tag {name} exists already", hint="--force moves it", details={"ref": ref}
            )
        objects: Sequence[GitObject] = ()
        value = commit
        if message is not None:
            prepared = repo.history.annotated_tag(
                name=name, target=commit, message=message, tagger=repo.signature(), expected=old
            )
            objects, value = prepared.objects, prepared.id
        if old != value:
            repo.record(
                "tag",
                arguments=[name] if rev is None else [name, rev],
                changes=[RefChange(ref, old, value)],
                objects=objects,
                message=f"tag: {'made' if old is None else 'moved'} at {rev or 'HEAD'}",
            )
    return RefInfo(name=name, commit=commit, message=None if message is None else message.strip())


def delete(repo: Workspace, name: str) -> RefInfo:
    """Delete a tag; `undo` brings it back.

    Raises
    ------
    NotFoundError
        If there is no such tag.
    ReleaseTagError
        If it is that of a release.
    """
    ref = tag_ref(name)
    _check_no_release(repo, name)
    value = repo.history.refs.get(ref)
    if value is None:
        raise unknown_ref("tag", name, (found.removeprefix(TAGS) for found in repo.history.refs.list(TAGS)))
    repo.record(
        "tag", arguments=["-d", name], changes=[RefChange(ref, value, None)], message=f"tag: deleted {name}"
    )
    return _info(repo, name, value)
