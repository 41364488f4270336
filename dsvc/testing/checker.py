"""The checker: what must hold for a repository after any fault, whatever the fault was.

Every fault test ends in `check`. It knows which commits were acknowledged and what the user's files may hold,
and raises `BrokenPromiseError` with a sentence that names what was broken.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import MODE_DIRECTORY, MODE_EXECUTABLE, MODE_FILE, MODE_SYMLINK, Entry
from dsvc.porcelain.repository import Repository
from dsvc.store.materialize import read_content
from dsvc.testing.faults import BrokenPromiseError
from dsvc.testing.lineage_checker import Provenance, check_provenance, provenance

FileState = tuple[int, bytes]
"""Canonical mode (of `dsvc.model.manifest.MODES`, or the raw one of a special file) and content."""
Contents = Mapping[bytes, bytes]
"""What a commit holds: path to bytes (of a symlink: its target; of an empty folder: nothing)."""

_TEMPORARY: Final = re.compile(
    r"(?:tmp_obj_.*|[A-Za-z]+-[0-9]+-[0-9a-f]{16}|.*\.lock|dsvc-update\..*|tmp_.*)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must be found after a fault.

    Attributes
    ----------
    commits : Mapping
        Acknowledged commits with their contents.
    possible : sequence of Contents
        What the interrupted command may have committed, acknowledged or not.
    files : Mapping or None
        The states that each path of the working tree may be in (None: absent); other paths must not be
        there. None looks at no file.
    head : frozenset of (str or None)
        Branches (short names, None for a detached HEAD) that HEAD may stand on; empty allows any.
    provenance : sequence of Provenance
        What was recorded of runs and sources before the command, and what is after it; empty looks at none.
    """

    commits: Mapping[CommitId, Contents] = field(default_factory=dict)
    possible: Sequence[Contents] = ()
    files: Mapping[bytes, frozenset[FileState | None]] | None = None
    head: frozenset[str | None] = frozenset()
    provenance: Sequence[Provenance] = ()


def tree_state(root: str) -> dict[bytes, FileState]:
    """Every path of a working tree with mode and content; folders are listed only where they're empty."""
    found: dict[bytes, FileState] = {}
    pending = [b""]
    top = os.fsencode(root)
    while pending:
        folder = pending.pop()
        names = os.listdir(os.path.join(top, folder))
        for name in names:
            path = folder + b"/" + name if folder else name
            if path == b".dsvc":
                continue
            full = os.path.join(top, path)
            mode = os.lstat(full).st_mode
            if stat.S_ISDIR(mode):
                pending.append(path)
            elif stat.S_ISLNK(mode):
                found[path] = (MODE_SYMLINK, os.readlink(full))
            elif stat.S_ISREG(mode):
                with open(full, "rb") as file:
                    found[path] = (MODE_EXECUTABLE if mode & 0o100 else MODE_FILE, file.read())
            else:
                found[path] = (mode, b"")
        if folder and not names:
            found[folder] = (MODE_DIRECTORY, b"")
    return found


def unchanged(*states: Mapping[bytes, FileState]) -> dict[bytes, frozenset[FileState | None]]:
    """What each path may hold where the tree is in one of `states`, or between them."""
    paths = {path for state in states for path in state}
    found = {path: frozenset(state.get(path) for state in states) for path in paths}
    empty: FileState = (MODE_DIRECTORY, b"")
    for path in [path for path, allowed in found.items() if len(allowed) > 1]:
        # A folder is there before the first file in it, and after the last.
        while (path := path.rpartition(b"/")[0]) != b"":
            found[path] = found.get(path, frozenset({None})) | {empty}
    return found


def commit_contents(repo: Repository, commit: CommitId) -> dict[bytes, bytes]:
    """Everything that a commit holds, each byte checked against its id."""
    manifest = repo.manifest(repo.history.read_commit(commit).manifest)
    return {entry.path: _content(repo, entry) for entry in manifest.entries()}


def _content(repo: Repository, entry: Entry) -> bytes:
    data = b"" if entry.mode == MODE_DIRECTORY else read_content(repo.store, entry)
    if len(data) != entry.size:
        raise BrokenPromiseError(f"{entry.path!r} has {len(data)} bytes, its entry says {entry.size}")
    return data


def check(root: str, expected: Expected, *, rerun: Callable[[Repository], object] | None = None) -> None:
    """Check a repository after a fault.

    Parameters
    ----------
    root : str
        The working tree.
    expected : Expected
        What must and what may be there.
    rerun : callable or None
        Runs the interrupted command again; it must succeed without any step by hand.

    Raises
    ------
    BrokenPromiseError
        If a promise is broken.
    """
    if expected.files is not None:
        check_files(root, expected.files)
    with opened(root) as repo:
        check_history(repo, expected)
        check_fsck(repo)
    if rerun is not None:
        with opened(root) as repo:
            try:
                rerun(repo)
            except DsvcError as error:
                raise BrokenPromiseError(f"the command run again fails: {error.code}: {error}") from error
    with opened(root) as repo:
        check_nothing_left(repo)
        check_history(repo, expected)
    check_caches(root)


class opened:  # noqa: N801  reads like open()
    """A repository for the length of a block; its descriptors are closed afterwards."""

    def __init__(self, root: str) -> None:
        self._repo = Repository.open(root, lock_timeout=5.0, vouches=lambda *_: True)

    def __enter__(self) -> Repository:
        """Return the repository."""
        return self._repo

    def __exit__(self, *error: object) -> None:
        """Close what it holds open."""
        self._repo.backend.forget()


def check_files(root: str, expected: Mapping[bytes, frozenset[FileState | None]]) -> None:
    """Every path of the working tree is in a state that it may be in."""
    found = tree_state(root)
    for path in found.keys() | expected.keys():
        if found.get(path) not in expected.get(path, frozenset({None})):
            raise BrokenPromiseError(f"the user's file {path!r} is {_brief(found.get(path))}")


def _brief(state: FileState | None) -> str:
    return "gone" if state is None else f"mode {state[0]:o} with {len(state[1])} bytes {state[1][:40]!r}"


def check_history(repo: Repository, expected: Expected) -> None:
    """Acknowledged commits are there with the right bytes, and refs show nothing else."""
    for commit, contents in expected.commits.items():
        if commit_contents(repo, commit) != dict(contents):
            raise BrokenPromiseError(f"the acknowledged commit {commit[:12]} has other content")
    head = repo.history.refs.head()
    short = None if head.branch is None else head.branch.removeprefix("refs/heads/")
    if expected.head and short not in expected.head:
        raise BrokenPromiseError(f"HEAD stands on {short}")
    for ref, commit in repo.history.refs.list("refs/heads/").items():
        check_tip(repo, ref, commit, expected)
    if head.commit is not None:
        check_tip(repo, "HEAD", head.commit, expected)
    elif expected.commits:
        raise BrokenPromiseError("HEAD has no commit, although some were acknowledged")
    if expected.provenance:
        check_provenance(provenance(repo, head.commit), expected.provenance)


def check_tip(repo: Repository, ref: str, commit: CommitId, expected: Expected) -> None:
    """A ref is at an acknowledged commit, or at the one that was interrupted, whole."""
    if commit in expected.commits:
        return
    contents = commit_contents(repo, commit)
    if not any(contents == dict(possible) for possible in expected.possible):
        raise BrokenPromiseError(
            f"{ref} is at {commit[:12]}, which nobody made whole: {sorted(contents)[:5]}"
        )


def check_fsck(repo: Repository) -> None:
    """Fsck finds nothing; the data was read by `check_history`."""
    result = repo.fsck()
    if not result.ok:
        defects = "; ".join(f"{d.id} {d.object}: {d.message}" for d in result.defects[:3])
        raise BrokenPromiseError(f"fsck finds {len(result.defects)} defects: {defects}")


def leftovers(root: str) -> list[str]:
    """Temporary and lock files anywhere under ``.dsvc``; dsvc's own flock files are none."""
    top = os.path.join(root, ".dsvc")
    found = []
    for folder, _, names in os.walk(top):
        inside = os.path.relpath(folder, top)
        if inside == "locks":
            continue
        found += [os.path.join(inside, n) for n in names if inside == "tmp" or _TEMPORARY.fullmatch(n)]
    return sorted(found)


def check_nothing_left(repo: Repository) -> None:
    """After gc no temporary file is left, whatever was killed before."""
    repo.gc(grace_seconds=0)
    left = leftovers(repo.root)
    if left:
        raise BrokenPromiseError(f"left after gc: {left}")


def answers(repo: Repository) -> list[object]:
    """What a user would be told: status, log, list of files."""
    head = repo.history.refs.head()
    log = [] if head.commit is None else [commit.id for commit in repo.history.log([head.commit])]
    return [repo.status(untracked="all"), log, list(_listing(repo))]


def _listing(repo: Repository) -> Iterator[Entry]:
    return repo.manifest_of("STAGED").entries()


def check_caches(root: str) -> None:
    """Without everything under ``.dsvc/cache`` the answers are the same."""
    with opened(root) as repo:
        before = answers(repo)
        shutil.rmtree(repo.layout.cache)
        os.mkdir(repo.layout.cache)
    with opened(root) as repo:
        after = answers(repo)
    for with_them, without in zip(before, after, strict=True):
        if with_them != without:
            raise BrokenPromiseError(f"with the caches {with_them}, without them {without}")
