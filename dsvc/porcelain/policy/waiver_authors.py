"""Who made what a waiver is for: the commits since the merge base that touch its subject."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from dsvc.history import signature_frame
from dsvc.history.commit_codec import Commit
from dsvc.history.signature import Signature
from dsvc.history.signature_frame import SignatureMalformedError
from dsvc.lineage.validation import DEFECT
from dsvc.model.errors import CorruptDataError, MalformedInputError, MissingDataError, NotFoundError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.run_record import RunId
from dsvc.model.ssh_key import SshKey
from dsvc.policy.roster import same_email
from dsvc.policy.waivers import Touching
from dsvc.porcelain.policy.judged_version import JudgedVersion
from dsvc.porcelain.records import source_chain
from dsvc.porcelain.state.commit_lineage import lineage_of, source_heads
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.store.manifest_tree import Manifest

_Content = Callable[[NodeId, CommitId | None], bytes | None]


class _Step(NamedTuple):
    """A version with those before it: a commit, or what is staged and no commit yet."""

    root: NodeId
    commit: CommitId | None
    parents: tuple[Commit, ...]
    people: tuple[Signature, ...]
    signature: bytes | None


class Authors:
    """Answers who touched a subject, for the waivers of one check.

    Parameters
    ----------
    repo : Workspace
    version : JudgedVersion
        What is judged.
    author : Signature or None
        Who will commit it, where it is no commit yet and that is known.
    signer : SshKey or None
        Who will sign it then.
    """

    def __init__(
        self,
        repo: Workspace,
        version: JudgedVersion,
        author: Signature | None = None,
        signer: SshKey | None = None,
    ) -> None:
        self._repo = repo
        self._version = version
        self._author = author
        self._signer = signer
        self._known: dict[tuple[bytes, bytes], Touching] = {}

    def touching(self, subject: bytes, digest: bytes) -> Touching:
        """Tell who made the commits that touch a subject; what can't be read is part of the answer."""
        key = (subject, digest)
        if key not in self._known:
            try:
                self._known[key] = self._find(subject, digest)
            except (MissingDataError, CorruptDataError, MalformedInputError, NotFoundError) as error:
                self._known[key] = Touching(problem=error.message)
        return self._known[key]

    def _find(self, subject: bytes, digest: bytes) -> Touching:
        if subject.startswith(b"source:"):
            name = subject[7:].decode("utf-8", "replace")
            return self._of([*self._chain(name), *self._bringing(name)])
        if subject.startswith(DEFECT):
            return self._of_defect(subject[len(DEFECT) :].decode("utf-8", "replace"))
        return self._of(self._touching(subject, digest))

    def _touching(self, subject: bytes, digest: bytes) -> list[_Step]:
        """Commits that touch the whole version, a run or a file."""
        content = self._content_of(subject)
        if self._version.target is not None:
            since = list(self._steps(exclude=[self._version.target]))
            found = since if not subject else [step for step in since if _differs(step, content)]
            if found:
                return found
        # Nothing to compare with: whoever brought it in, ever.
        ever = list(self._steps())
        brought = [step for step in ever if _brings(step, content, digest)]
        return brought or ever

    def _of_defect(self, id_: str) -> Touching:
        """Who rejected a defect or graded it otherwise, and who touched the artifact with its rows."""
        from dsvc.porcelain.policy.defect_facts import decided_by
        from dsvc.porcelain.records.defect_chain import defect_state

        state = defect_state(self._repo, id_)
        decided = [self._step(self._repo.history.read_commit(commit)) for commit in decided_by(state)]
        last = state.rows[-1].digest if state.rows else b""
        return self._of([*decided, *self._touching(state.path, last)])

    def _content_of(self, subject: bytes) -> _Content:
        """Give a function that tells what a version has of a subject."""
        repo = self._repo
        if not subject:
            return lambda root, commit: bytes(root)
        if subject.startswith(b"run:"):
            run = RunId.parse(subject[4:].decode("ascii", "replace"))
            return lambda root, commit: bytes(run) if self._has_run(commit, run) else None
        path, at, hex_ = subject.rpartition(b"@")
        named = {subject, path} if at and len(hex_) == 64 else {subject}
        known: dict[NodeId, bytes | None] = {}

        def content(root: NodeId, commit: CommitId | None) -> bytes | None:
            if root not in known:
                manifest = repo.manifest(root)
                found = [entry.digest for each in sorted(named) if (entry := manifest.get(each)) is not None]
                known[root] = b"".join(found) or _listing(manifest, subject)
            return known[root]

        return content

    def _has_run(self, commit: CommitId | None, run: RunId) -> bool:
        if commit is not None:
            return lineage_of(self._repo, commit).has_run(run)
        version = self._version
        return run in version.runs or any(lineage.has_run(run) for lineage in version.lineages)

    def _steps(self, exclude: Iterable[CommitId] = ()) -> Iterator[_Step]:
        history, version = self._repo.history, self._version
        tips = [version.commit] if version.commit is not None else list(version.parents)
        if version.commit is None:
            parents = tuple(history.read_commit(parent) for parent in version.parents)
            people = () if self._author is None else (self._author,)
            yield _Step(version.root, None, parents, people, None)
        for commit in history.log(tips, exclude=list(exclude)):
            yield self._step(commit)

    def _step(self, commit: Commit) -> _Step:
        parents = tuple(self._repo.history.read_commit(parent) for parent in commit.parents)
        people = (commit.author, commit.committer)
        return _Step(commit.manifest, commit.id, parents, people, commit.signature)

    def _chain(self, source_id: str) -> list[_Step]:
        """Operations of a source."""
        return [self._step(step.commit) for step in source_chain.history(self._repo, source_id)]

    def _bringing(self, source_id: str) -> list[_Step]:
        """Commits that took a source or a change of it in: since the merge base, else ever."""
        content = self._record_of(source_id)
        since = () if self._version.target is None else (self._version.target,)
        found = [step for step in self._steps(since) if _differs(step, content)]
        return found or [step for step in self._steps() if _differs(step, content)]

    def _record_of(self, source_id: str) -> _Content:
        """Give a function that tells which record of a source a version has."""

        def content(root: NodeId, commit: CommitId | None) -> bytes | None:
            if commit is None:
                return source_heads(self._repo).get(source_id)
            tree = lineage_of(self._repo, commit).source(source_id)
            return None if tree is None else tree.root

        return content

    def _of(self, steps: Iterable[_Step]) -> Touching:
        keys: set[SshKey] = set()
        emails: set[str] = set()
        for step in steps:
            emails.update(same_email(who.email) for who in step.people)
            keys.update(_claimed(step.signature))
            if step.commit is None and self._signer is not None:
                keys.add(self._signer)
        return Touching(frozenset(keys), frozenset(emails))


def _listing(manifest: Manifest, path: bytes) -> bytes | None:
    """Digest of the files of a folder, as a defect may name one; None where there are none."""
    from dsvc.porcelain.lineage.artifact_version import digest_of_folder

    members = [each for each in manifest.entries(path) if each.is_file]
    return digest_of_folder(path, members) if members else None


def _differs(step: _Step, content: _Content) -> bool:
    """Whether a version has something else than every version before it."""
    now = content(step.root, step.commit)
    before = [content(parent.manifest, parent.id) for parent in step.parents]
    return now not in before if before else now is not None


def _brings(step: _Step, content: _Content, digest: bytes) -> bool:
    return content(step.root, step.commit) == digest and _differs(step, content)


def _claimed(signature: bytes | None) -> Iterator[SshKey]:
    """Key that a commit says signed it: who claims to be its author is taken at their word."""
    if signature is not None:
        try:
            yield signature_frame.parse(signature).key
        except SignatureMalformedError:
            return
