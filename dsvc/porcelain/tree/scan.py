"""One folder of the working tree: what is there, against what the stat cache remembers.

A folder whose names and stats are those of its shard costs one listing and one stat a file, nothing else.
"""

from __future__ import annotations

import os
import stat as stat_module
from typing import NamedTuple

from dsvc.fs.beneath import Beneath
from dsvc.model.paths import is_reserved_name
from dsvc.porcelain.tree.stat_cache import STAT, Shard
from dsvc.store.ingest import FileStat

_SPECIAL = {
    stat_module.S_IFIFO: "FIFO",
    stat_module.S_IFSOCK: "socket",
    stat_module.S_IFCHR: "character device",
    stat_module.S_IFBLK: "block device",
}


class Listing(NamedTuple):
    """What a folder holds.

    Attributes
    ----------
    rows : list of (name, packed stat)
        Files and symlinks, sorted by name.
    folders : list of bytes
        Names of sub-folders.
    special : list of (name, reason)
        What can't be recorded.
    empty : bool
        Whether nothing at all is in it.
    """

    rows: list[tuple[bytes, bytes]]
    folders: list[bytes]
    special: list[tuple[bytes, str]]
    empty: bool


def list_folder(tree: Beneath, folder: bytes) -> Listing:
    """List a folder without following links.

    Raises
    ------
    OSError, NotAFolderError
        If it's gone or no folder any more.
    """
    rows: list[tuple[bytes, bytes]] = []
    folders: list[bytes] = []
    special: list[tuple[bytes, str]] = []
    empty = True
    fsencode, pack = os.fsencode, STAT.pack
    is_root = not folder
    with os.scandir(tree.folder(folder)) as found:
        for item in found:
            name = fsencode(item.name)
            if item.is_dir(follow_symlinks=False):
                if name == b".dsvc" and is_root:
                    continue
                empty = False
                folders.append(name)
                continue
            empty = False
            try:
                s = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            mode = s.st_mode
            if stat_module.S_ISREG(mode) or stat_module.S_ISLNK(mode):
                rows.append((name, pack(s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns, mode)))
            else:
                special.append((name, f"it is a {_SPECIAL.get(stat_module.S_IFMT(mode), 'special file')}"))
    rows.sort()
    folders.sort()
    return Listing(rows, folders, special, empty)


def refuse_folder(tree: Beneath, folder: bytes, name: bytes) -> str | None:
    """Say why a sub-folder is not entered, or None."""
    if name == b".git":
        return "it is a git repository"
    if is_reserved_name(name):
        return "its name is an alias of .dsvc or .git"
    path = folder + b"/" + name if folder else name
    try:
        inner = tree.lstat(path + b"/.dsvc/config")
    except OSError:  # told when it's listed
        return None
    return None if inner is None else "it is another dsvc repository"


class Comparison(NamedTuple):
    """A listing against a shard.

    Attributes
    ----------
    unchanged : int
        Rows whose stat is the remembered one.
    touched : list of (name, packed stat)
        Tracked names whose stat differs.
    untracked : list of (name, packed stat)
        Names without a row.
    missing : list of bytes
        Rows without a file.
    """

    unchanged: int
    touched: list[tuple[bytes, bytes]]
    untracked: list[tuple[bytes, bytes]]
    missing: list[bytes]


def compare(listing: Listing, shard: Shard | None, only: frozenset[bytes] | None = None) -> Comparison:
    """Compare a listing with the folder's shard; `only` limits it to some names."""
    rows = listing.rows
    if shard is None:
        wanted = rows if only is None else [r for r in rows if r[0] in only]
        return Comparison(0, [], wanted, [])
    if only is None and len(rows) == len(shard):
        names = b"\0".join([r[0] for r in rows])
        if names == shard.names and b"".join([r[1] for r in rows]) == shard.stats:
            return Comparison(len(rows), [], [], [])
    size, stats = STAT.size, shard.stats
    known = {name: stats[i * size : (i + 1) * size] for i, name in enumerate(shard.name_list())}
    unchanged, touched, untracked = 0, [], []
    for row in rows:
        name, packed = row
        if only is not None and name not in only:
            known.pop(name, None)
            continue
        before = known.pop(name, None)
        if before is None:
            untracked.append(row)
        elif before == packed:
            unchanged += 1
        else:
            touched.append(row)
    missing = sorted(known if only is None else (n for n in known if n in only))
    return Comparison(unchanged, touched, untracked, missing)


def unpack_stat(packed: bytes) -> FileStat:
    """Stat from its fixed-width bytes."""
    return FileStat(*STAT.unpack(packed))
