"""log, show, reflog: the history as people read it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from itertools import islice

import msgspec

from dsvc.diff.manifest_diff import detect_renames, diff_manifests
from dsvc.history import walk
from dsvc.history.commit_codec import Commit
from dsvc.history.ref_name import HEADS, TAGS, is_ref_format, short_name
from dsvc.history.ref_transaction import HEAD
from dsvc.history.reflog import ReflogEntry
from dsvc.history.revision import split_range
from dsvc.model.errors import DsvcError, NotFoundError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.run_record import RunId
from dsvc.porcelain.state.values import LogEntry, ShowResult
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest

_CACHED_MANIFESTS = 16


def log(
    repo: Workspace,
    rev: str | None,
    *,
    limit: int | None = None,
    paths: Sequence[bytes] = (),
    all_: bool = False,
) -> Iterator[LogEntry]:
    """Yield commits newest first, each child before its parents.

    Parameters
    ----------
    rev : str or None
        Where to begin, or a range ``A..B`` or ``A...B``; None is HEAD, which may have no commit yet.
    limit : int or None
        Number of commits.
    paths : sequence of bytes
        Only commits in which one of these, or something below them, differs from every parent; of a merge
        that took one side as it was, only that side is followed, as git does.
    all_ : bool
        Begin at every branch and tag as well.

    Raises
    ------
    NotFoundError
        If there is no such revision.
    MissingDataError, CorruptDataError, MalformedInputError
        If a commit or a manifest on the way is damaged.
    """
    starts, exclude = _starts(repo, rev, all_=all_)
    if not starts:
        return iter(())
    return _entries(repo, starts, exclude, [path.rstrip(b"/") for path in paths], limit)


def _starts(repo: Workspace, rev: str | None, *, all_: bool) -> tuple[list[CommitId], list[CommitId]]:
    """Commits to begin at, and those that are left out with their ancestors."""
    starts: list[CommitId] = []
    exclude: list[CommitId] = []
    resolve = repo.history.revisions.resolve
    between = None if rev is None else split_range(rev)
    if between is not None:
        left, right = resolve(between.left), resolve(between.right)
        starts = [right, left] if between.symmetric else [right]
        exclude = repo.history.merge_bases(left, right) if between.symmetric else [left]
    elif rev is not None:
        starts = [resolve(rev)]
    else:
        head = repo.history.refs.head().commit
        starts = [] if head is None else [head]
    if all_:
        starts += repo.history.refs.list(HEADS).values()
        starts += (commit for commit in _tagged(repo).values())
    return starts, exclude


def _tagged(repo: Workspace) -> dict[str, CommitId]:
    """Tags and the commits that they lead to; a tag of something else is left out."""
    found = {}
    for ref, value in repo.history.refs.list(TAGS).items():
        try:
            found[ref] = repo.history.read_commit(repo.history.peel(value)).id
        except DsvcError:
            # A damaged tag is fsck's to name; history can be read without its name.
            continue
    return found


def _entries(
    repo: Workspace,
    starts: Sequence[CommitId],
    exclude: Collection[CommitId],
    paths: Sequence[bytes],
    limit: int | None,
) -> Iterator[LogEntry]:
    refs = refs_by_commit(repo)
    commits = _touching(repo, starts, exclude, paths) if paths else repo.history.log(starts, exclude=exclude)
    for commit in islice(commits, limit):
        yield LogEntry(commit=commit, refs=refs.get(commit.id, ()), runs=_runs(repo, commit))


def _runs(repo: Workspace, commit: Commit) -> tuple[RunId, ...]:
    """Runs that a commit adds; most commits have no lineage, or that of their parent."""
    if commit.lineage is None:
        return ()
    from dsvc.porcelain.runs.known_run import added_runs

    return tuple(added_runs(repo, commit))


def _touching(
    repo: Workspace, starts: Sequence[CommitId], exclude: Collection[CommitId], paths: Sequence[bytes]
) -> Iterator[Commit]:
    """Commits that change one of `paths`, over a history in which the others have one parent at most."""
    read = repo.history.read_commit
    hidden = walk.ancestors(read, exclude)
    # The parents that are followed, and whether the commit is shown.
    known: dict[CommitId, tuple[tuple[CommitId, ...], bool]] = {}
    differs = _comparer(repo, paths)

    def simplified(id_: CommitId) -> Commit:
        commit = read(id_)
        if id_ not in known:
            same = next((p for p in commit.parents if not differs(commit.manifest, read(p).manifest)), None)
            if same is not None:
                known[id_] = ((same,), False)
            else:
                shown = bool(commit.parents) or differs(commit.manifest, EMPTY_ROOT)
                known[id_] = (commit.parents, shown)
        parents = tuple(parent for parent in known[id_][0] if parent not in hidden)
        return commit if parents == commit.parents else msgspec.structs.replace(commit, parents=parents)

    for commit in walk.log(simplified, [start for start in starts if start not in hidden]):
        if known[commit.id][1]:
            yield read(commit.id)


def _comparer(repo: Workspace, paths: Sequence[bytes]) -> Callable[[NodeId, NodeId], bool]:
    """Tell whether two manifests differ in `paths`; reads only nodes that differ."""
    # Each manifest is looked at twice in a row: as a child's parent, then as a child.
    open_: Callable[[NodeId], Manifest] = lru_cache(maxsize=_CACHED_MANIFESTS)(repo.manifest)

    def differs(one: NodeId, other: NodeId) -> bool:
        if one == other:
            return False
        return next(diff_manifests(open_(one), open_(other), paths), None) is not None

    return differs


def refs_by_commit(repo: Workspace) -> dict[CommitId, tuple[str, ...]]:
    """Short names of what points at each commit: a detached ``HEAD``, the current branch, others, tags."""
    head = repo.history.refs.head_as_is()
    names: dict[CommitId, list[str]] = {}
    if head.branch is None and head.commit is not None:
        names[head.commit] = [HEAD]
    branches = repo.history.refs.list(HEADS)
    for ref in sorted(branches, key=lambda ref: (ref != head.branch, ref)):
        names.setdefault(branches[ref], []).append(short_name(ref))
    for ref, commit in _tagged(repo).items():
        names.setdefault(commit, []).append(short_name(ref))
    return {commit: tuple(found) for commit, found in names.items()}


def show(repo: Workspace, rev: str) -> ShowResult:
    """Read one commit with its refs and what it changed against its first parent, renames found.

    Raises
    ------
    NotFoundError
        If there is no such revision.
    """
    commit = repo.history.read_commit(repo.history.revisions.resolve(rev))
    before = repo.history.read_commit(commit.parents[0]).manifest if commit.parents else EMPTY_ROOT
    changes = list(diff_manifests(repo.manifest(before), repo.manifest(commit.manifest)))
    refs = refs_by_commit(repo).get(commit.id, ())
    return ShowResult(commit=commit, refs=refs, changes=detect_renames(changes), runs=_runs(repo, commit))


def reflog(repo: Workspace, ref: str) -> list[ReflogEntry]:
    """List where a ref was, newest first; a deleted one keeps its log.

    Parameters
    ----------
    ref : str
        ``HEAD``, a branch, a tag, or a full name ``refs/…``.

    Raises
    ------
    NotFoundError
        If there is no such ref and never was.
    """
    refs = repo.history.refs
    if ref in (HEAD, "@"):
        return refs.reflog(HEAD)
    for place in (HEADS, TAGS, "refs/", ""):
        name = place + ref
        if is_ref_format(name):
            entries = refs.reflog(name)
            if entries or refs.get(name) is not None:
                return entries
    raise NotFoundError(
        f"there is no ref {ref[:200]!r} with a reflog", hint="dsvc branch and dsvc tag list refs"
    )
