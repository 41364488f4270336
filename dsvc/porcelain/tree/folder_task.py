"""What a folder worker is asked, what it answers, and what all of them share."""

from __future__ import annotations

import msgspec

from dsvc.porcelain.state.sparse import SparsePatterns
from dsvc.porcelain.tree.known_files import KnownFile
from dsvc.porcelain.tree.stat_cache import Shard


class Task(msgspec.Struct, frozen=True, array_like=True, tag="folder"):
    """A folder to look at; `only` limits it to some names and to no sub-folder."""

    folder: bytes
    only: list[bytes] | None = None


class Reply(msgspec.Struct, array_like=True, tag="folder"):
    """What was found in a folder.

    Attributes
    ----------
    folders : list of bytes
        Paths of sub-folders to look at next.
    changed : list of (path, encoded entry, size)
        New content (staging), or paths whose content differs (comparing; empty encoding).
    large : list of names
        Files for the large-file path.
    files : int
        Tracked files in the folder afterwards.
    """

    folder: bytes
    folders: list[bytes]
    unchanged: int = 0
    changed: list[tuple[bytes, bytes, int]] = []
    missing: list[bytes] = []
    untracked: list[bytes] = []
    untracked_folders: list[bytes] = []
    large: list[bytes] = []
    skipped: list[tuple[bytes, str]] = []
    warnings: list[tuple[bytes, str]] = []
    empty: bool = False
    gone: bool = False
    unreadable: bool = False
    files_before: int = 0
    files: int = 0
    saved: bool = False


class Settings(msgspec.Struct):
    """What every folder is handled with; shared by all workers.

    Attributes
    ----------
    stage : bool
        Store and stage what changed, or only compare.
    now_ns : int
        Clock of the file system when the scan began.
    shards : dict or None
        Shards that mirror the staged manifest, where the cache's own don't; those then only spare reading.
    known : dict of bytes to KnownFile
        Files that are stored though not staged, by path.
    tracked_folders : set of bytes
        Folders that hold tracked paths at any depth; others are untracked as a whole.
    mirrored : frozenset of bytes
        Folders whose shards mirror the staged manifest; a shard of another folder is of another time.
    manifest : bytes
        Root of the staged manifest.
    descend_untracked : bool
        Whether untracked folders are listed file by file.
    force : bool
        Whether ignored paths are taken all the same.
    """

    stage: bool
    root: str
    now_ns: int
    save: bool
    sparse: SparsePatterns
    tracked_folders: set[bytes] = set()
    descend_untracked: bool = True
    force: bool = False
    check_names: bool = False
    shards: dict[bytes, Shard] | None = None
    known: dict[bytes, KnownFile] = {}
    mirrored: frozenset[bytes] = frozenset()
    manifest: bytes = b""
