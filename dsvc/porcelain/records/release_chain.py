"""The chain of a release: ``refs/dsvc/releases/NAME``, one commit for each operation on it.

The manifest of such a commit holds ``operation``; from its creation on also ``facts``, the documents made of
them, ``known`` (where each ref was when the gate judged), ``policy/NAME`` (packs that were asked beside those
in force), and ``data`` and ``lineage``: these two stand for the manifests of what was released, so that gc
keeps it whatever becomes of branches and tags. On chains see `records.operation_chain`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final, NamedTuple

import msgspec

from dsvc.history.history import Prepared
from dsvc.history.ref_name import tag_ref
from dsvc.history.refs import RefChange
from dsvc.lineage.source_tree import store_part
from dsvc.model.encoding import decode, encode
from dsvc.model.errors import (
    MalformedInputError,
    NotFoundError,
    UsageError,
)
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry, tree_entry
from dsvc.model.release import (
    ReleaseOperation,
    ReleaseStatus,
    ReleaseVerb,
    decode_release_operation,
    encode_release_operation,
    status_after,
)
from dsvc.porcelain.records.operation_chain import Chains, prepare_operation
from dsvc.porcelain.state.workspace import Workspace
from dsvc.release.facts import ReleaseFacts
from dsvc.release.facts_codec import MAX_BYTES, decode_facts
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest

RELEASE_REFS: Final = "refs/dsvc/releases/"
OPERATION, FACTS, KNOWN = b"operation", b"facts", b"known"
STATEMENT, CARD, CARD_ZH = b"statement.jsonl", b"README.md", b"README.zh.md"
CROISSANT, NOTES, POLICY = b"croissant.json", b"notes", b"policy"
DATA, LINEAGE = b"data", b"lineage"
DOCUMENTS: Final = (STATEMENT, CARD, CARD_ZH, CROISSANT)


class NoSuchReleaseError(NotFoundError):
    """There is no release of that name."""

    code: ClassVar[str] = "no-such-release"


class ReleaseStateError(UsageError):
    """A release is not in a state in which this can be done with it."""

    code: ClassVar[str] = "release-state"


def check_release_name(name: str) -> str:
    """Give the name of a release back: one that a tag may have.

    Raises
    ------
    MalformedInputError
        If it is none.
    """
    tag_ref(name)
    return name


RELEASES: Final = Chains(
    RELEASE_REFS, "release", check_release_name, NoSuchReleaseError, "dsvc release list", guesses=True
)


class ReleaseStep(NamedTuple):
    """One operation of a chain: the commit that recorded it, and what was done."""

    commit: CommitId
    operation: ReleaseOperation


class ReleaseState(msgspec.Struct, frozen=True, kw_only=True):
    """A release as its operations have left it.

    Attributes
    ----------
    name : str
    head : CommitId
        Newest commit of its chain.
    status : ReleaseStatus
    history : tuple of ReleaseStep
        Operations, newest first.
    """

    name: str
    head: CommitId
    status: ReleaseStatus
    history: tuple[ReleaseStep, ...]

    @property
    def created(self) -> ReleaseOperation | None:
        """How it was created; None where it is only announced, or its announcement was withdrawn."""
        done = (step.operation for step in self.history)
        return next((each for each in done if each.verb is ReleaseVerb.CREATE), None)

    @property
    def commit(self) -> CommitId | None:
        """The released version, where it was created."""
        created = self.created
        return None if created is None or created.commit is None else CommitId(created.commit)

    @property
    def consumers(self) -> tuple[str, ...]:
        """To whom it was given, in order."""
        return tuple(sorted({name for step in self.history for name in step.operation.consumers}))

    @property
    def until(self) -> str | None:
        """Last day on which people can object, by the newest announcement that names one."""
        return next((step.operation.until for step in self.history if step.operation.until), None)

    @property
    def reason(self) -> str | None:
        """Why it stands as it does."""
        return self.history[0].operation.reason


def release_ref(name: str) -> str:
    """Full name of a release's ref; raises MalformedInputError if that is no name of one."""
    return RELEASES.ref(name)


def release_names(repo: Workspace) -> list[str]:
    """Names of all releases, in order."""
    return RELEASES.ids(repo)


def find_release(repo: Workspace, name: str) -> ReleaseState | None:
    """A release as it is now, None where there is none; raises as `release_head` else."""
    return None if RELEASES.tip(repo, name) is None else release_head(repo, name)


def release_head(repo: Workspace, name: str) -> ReleaseState:
    """A release as it is now.

    Raises
    ------
    NoSuchReleaseError
        If there is none of that name.
    MissingDataError, CorruptDataError, MalformedInputError
        If it can't be read.
    """
    tip = RELEASES.head(repo, name)
    history = tuple(_history(repo, name))
    status: ReleaseStatus | None = None
    for step in reversed(history):
        status = status_after(status, step.operation.verb)
        if status is None:
            raise MalformedInputError(f"release {name}: its operations don't follow on each other")
    assert status is not None, "a chain has a commit"
    return ReleaseState(name=name, head=tip, status=status, history=history)


def releases(repo: Workspace) -> Iterator[ReleaseState]:
    """Yield every release, by name; raises as `release_head`."""
    for name in release_names(repo):
        yield release_head(repo, name)


def created_release(repo: Workspace, name: str) -> tuple[ReleaseState, ReleaseFacts]:
    """A release that was created, with its facts.

    Raises
    ------
    ReleaseStateError
        If it is only announced.
    NoSuchReleaseError, MissingDataError, CorruptDataError, MalformedInputError
        As `release_head`.
    """
    state = release_head(repo, name)
    if state.created is None:
        raise ReleaseStateError(
            f"release {name} is announced, and not created yet", hint=f"dsvc release create {name}"
        )
    return state, facts_of(repo, state)


def facts_of(repo: Workspace, state: ReleaseState) -> ReleaseFacts:
    """Facts of a release that was created; raises as `release_head`."""
    return decode_facts(release_part(repo, state, FACTS))


def release_part(repo: Workspace, state: ReleaseState, path: bytes) -> bytes:
    """Bytes of a part of a release that was created.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If it isn't there, or damaged.
    """
    return RELEASES.part(repo, _manifest(repo, state.head), path, limit=MAX_BYTES)


def release_trees(repo: Workspace, state: ReleaseState) -> dict[bytes, NodeId]:
    """Manifests that a release keeps: ``data``, and ``lineage`` where there was any; raises as above."""
    manifest = _manifest(repo, state.head)
    found = {path: manifest.get(path) for path in (DATA, LINEAGE)}
    return {
        path: NodeId(entry.digest) for path, entry in found.items() if entry is not None and entry.is_tree
    }


def release_packs(repo: Workspace, state: ReleaseState) -> dict[str, bytes]:
    """Policy packs that were asked beside those in force, by name; raises as `release_part`."""
    manifest = _manifest(repo, state.head)
    paths = [entry.path for entry in manifest.entries(POLICY)]
    return {
        path[len(POLICY) + 1 :].decode("utf-8"): RELEASES.part(repo, manifest, path, limit=MAX_BYTES)
        for path in paths
    }


def encode_known(tips: Mapping[str, CommitId]) -> bytes:
    """Encode where refs were."""
    return encode([(name, str(tip)) for name, tip in sorted(tips.items())])


def known_refs(repo: Workspace, state: ReleaseState) -> dict[str, CommitId]:
    """Where refs were when the gate judged; raises as `release_part`."""
    found = decode(release_part(repo, state, KNOWN), list[tuple[str, str]], "refs of a release")
    return {name: CommitId.parse(tip) for name, tip in found}


# Recording


def prepare_release(
    repo: Workspace,
    name: str,
    before: ReleaseState | None,
    operation: ReleaseOperation,
    parts: Mapping[bytes, bytes] | None = None,
    trees: Mapping[bytes, NodeId] | None = None,
) -> tuple[Prepared, RefChange]:
    """Prepare an operation, for a verb that moves other refs too; nothing is published.

    The caller holds `repo.changing()`.

    Parameters
    ----------
    before : ReleaseState or None
        The state that it follows; None for a new release.
    parts, trees : mapping
        Of create: what the release holds from now on.

    Raises
    ------
    ReleaseStateError
        If this can't be done with a release in that state.
    """
    check_step(name, before, operation.verb)
    base = EMPTY_ROOT if before is None else repo.history.read_commit(before.head).manifest
    news: dict[bytes, Entry] = {}
    for path, data in {**(parts or {}), OPERATION: encode_release_operation(operation)}.items():
        news[path] = msgspec.structs.replace(store_part(repo.store, data), path=path)
    for path, root in (trees or {}).items():
        news[path] = tree_entry(path, root)
    root = Manifest(repo.store, base, trees=True).update(sorted(news.items()))
    title = RELEASES.title(operation.verb.value, name, operation.reason)
    parents = [] if before is None else [before.head]
    prepared = prepare_operation(repo, Manifest(repo.store, root, trees=True), parents, title)
    old = None if before is None else before.head
    return prepared, RefChange(release_ref(name), old, prepared.id)


def check_step(name: str, before: ReleaseState | None, verb: ReleaseVerb) -> None:
    """See that something can be done with a release as it is.

    Raises
    ------
    ReleaseStateError
        If it can't.
    """
    status = None if before is None else before.status
    if status_after(status, verb) is None:
        now = "does not exist yet" if status is None else f"is {status.value}"
        raise ReleaseStateError(
            f"release {name} {now}: {verb.value} is not possible",
            hint=f"dsvc release show {name}",
            details={"release": name, "status": None if status is None else status.value},
        )


# Reading


def _manifest(repo: Workspace, commit: CommitId) -> Manifest:
    return Manifest(repo.store, repo.history.read_commit(commit).manifest, trees=True)


def _history(repo: Workspace, name: str) -> Iterator[ReleaseStep]:
    for commit in RELEASES.steps(repo, name):
        data = RELEASES.part(repo, Manifest(repo.store, commit.manifest, trees=True), OPERATION)
        yield ReleaseStep(commit.id, decode_release_operation(data))
