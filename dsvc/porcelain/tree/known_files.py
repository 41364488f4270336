"""Files that are stored but not staged: what a run made needs no second reading when it is added.

A cache like the stat cache, of paths that it has no rows for: stat and entry of each. Derived; may be deleted
at any time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
import xxhash

from dsvc.fs import cache_files
from dsvc.model.encoding import encode
from dsvc.model.manifest import Entry
from dsvc.porcelain.tree.stat_cache import STAT, UNKNOWN

MAX_KNOWN: Final = 20_000
"""Files that are remembered; the oldest go first."""


class KnownFile(NamedTuple):
    """The stat under which a file had the content of an entry."""

    stat: bytes
    entry: Entry


def load_known(cache: str) -> dict[bytes, KnownFile]:
    """Read what is known, by path; a damaged file is as good as none."""
    try:
        with open(_path(cache), "rb") as file:
            data = file.read()
    except OSError:
        return {}
    body = data[8:]
    if xxhash.xxh3_64_digest(body) != data[:8]:
        return {}
    try:
        rows = msgspec.msgpack.decode(body, type=list[tuple[bytes, Entry]])
    except (msgspec.DecodeError, RecursionError):
        return {}
    return {entry.path: KnownFile(stat, entry) for stat, entry in rows if len(stat) == STAT.size}


def remember(cache: str, news: Mapping[bytes, KnownFile]) -> None:
    """Add files; that the disk is full only costs the time to read them again."""
    usable = {path: known for path, known in news.items() if known.stat != UNKNOWN}
    if not usable:
        return
    known = {path: each for path, each in load_known(cache).items() if path not in usable} | usable
    body = encode([[each.stat, each.entry] for each in list(known.values())[-MAX_KNOWN:]])
    cache_files.keep(_path(cache), xxhash.xxh3_64_digest(body) + body)


def _path(cache: str) -> str:
    return os.path.join(cache, "known")
