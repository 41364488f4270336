"""Versions that no dsvc writes, and verbs that must refuse them, watched from outside."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import blake3
import xxhash

from dsvc.model.encoding import encode, hash_object
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_FILE, Entry
from dsvc.porcelain.state.values import ResetMode
from dsvc.store.block import ItemType
from dsvc.store.manifest_tree import encode_node
from tests.outside import watched
from tests.porcelain.working import Work

CONTENT = b"content\n"


def entry(work: Work, path: bytes, content: bytes = CONTENT, **changes: object) -> Entry:
    digest = blake3.blake3(content).digest()
    work.repo.store.put_chunk(digest, content, raw=False)
    values = {
        "path": path,
        "mode": MODE_FILE,
        "size": len(content),
        "digest": digest,
        "xxh3": xxhash.xxh3_128_digest(content),
        **changes,
    }
    return Entry(**values)  # type: ignore[arg-type]


def put_node(work: Work, data: bytes) -> NodeId:
    root = hash_object("node", data, NodeId)
    work.repo.store.put_object(root, data, ItemType.NODE)
    work.repo.store.publish()
    return root


def evil_branch(work: Work, root: NodeId, branch: str = "evil") -> None:
    """A branch whose one commit points at a manifest that no dsvc writes."""
    repo, who = work.repo, work.repo.signature()
    with repo.changing():
        prepared = repo.history.commit(
            parents=[repo.history.refs.head().commit],  # type: ignore[list-item]
            manifest=root,
            files=1,
            bytes=1,
            message="evil",
            author=who,
            committer=who,
            branch=f"refs/heads/{branch}",
            expected=None,
        )
        repo.record("commit", changes=prepared.changes, objects=prepared.objects)
    work.reopen()


def plant(work: Work, *entries: Entry, branch: str = "evil") -> None:
    evil_branch(work, put_node(work, encode_node(0, [encode(item) for item in entries])), branch)


def outside(work: Work) -> dict[str, tuple[int, bytes]]:
    """All that is in the folder of the test, but for the repository itself; other tests write beside it."""
    found: dict[str, tuple[int, bytes]] = {}
    for folder, names, files in os.walk(work.folder.parent):
        if ".dsvc" in names and folder == str(work.folder):
            names.remove(".dsvc")
        for name in [*names, *files]:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            found[path] = (mode, Path(path).read_bytes() if stat.S_ISREG(mode) else b"")
    return found


Command = Callable[..., object]
WRITERS: dict[str, Command] = {
    "checkout": lambda repo, rev="evil": repo.checkout(rev),
    "checkout forced": lambda repo, rev="evil": repo.checkout(rev, force=True),
    "restore": lambda repo, rev="evil": repo.restore([b""], source=rev),
    "reset": lambda repo, rev="evil": repo.reset(rev, ResetMode.HARD),
    "merge": lambda repo, rev="evil": repo.merge(rev),
    "cherry-pick": lambda repo, rev="evil": repo.cherry_pick(rev),
    "archive": lambda repo, rev="evil": repo.archive(rev, os.path.join(repo.layout.temporary, "out.tar")),
}
READERS: dict[str, Command] = {
    "ls": lambda repo, rev="evil": list(repo.ls(rev, recursive=True)),
    "cat": lambda repo, rev="evil": repo.open(b"kept.txt", rev).read(),
    "diff": lambda repo, rev="evil": repo.diff("HEAD", rev),
}


def refused(work: Work, commands: dict[str, Command], codes: Sequence[int] = (41,)) -> None:
    """Each command is refused, within bounds of time and memory, and nothing is written by any.

    They run one after the other in one process that is watched from outside.
    """
    before, head = outside(work), work.repo.history.refs.head()
    cases = {
        name: lambda command=command: command(work.reopen())  # type: ignore[misc]
        for name, command in commands.items()
    }
    for name, ended in watched(cases, work.folder).items():
        assert ended.code in codes, f"{name}: {ended.error!r}"
    assert outside(work) == before
    assert work.reopen().history.refs.head() == head
