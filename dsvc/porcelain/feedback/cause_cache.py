"""Answers about causes that were worked out before, in ``.dsvc/cache/causes``: a file by defect and question.

Derived: each file begins with what the answer depends on, and is made again where that is something else, or
where it can't be read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from blake3 import blake3

from dsvc.fs import cache_files
from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError
from dsvc.porcelain.state.commit_lineage import SOURCE_REFS
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_rules import read_rules

FORMAT: Final = 1
_KEY_BYTES: Final = 32
_T = TypeVar("_T", bound=msgspec.Struct)


def depends_on(repo: Workspace, *facts: object) -> bytes:
    """Digest of all that an answer depends on: the facts given, sources as they are, and ``dsvc.toml``.

    Raises
    ------
    TableRulesError
        If ``dsvc.toml`` can't be read.
    """
    sources = sorted((name, bytes.fromhex(tip)) for name, tip in repo.history.refs.list(SOURCE_REFS).items())
    return blake3(encode([FORMAT, facts, sources, read_rules(repo.root)])).digest()


def kept(repo: Workspace, name: str, key: bytes, kind: type[_T], make: Callable[[], _T]) -> _T:
    """Return what was kept under a name, where it depends on the same; else make it, and keep that."""
    path = os.path.join(repo.layout.cache, "causes", name)
    found = _read(path, key, kind)
    if found is not None:
        return found
    made = make()
    body = key + encode(made)
    cache_files.keep(path, blake3(body).digest() + body)
    return made


def _read(path: str, key: bytes, kind: type[_T]) -> _T | None:
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError:
        return None
    body = data[_KEY_BYTES:]
    if body[:_KEY_BYTES] != key or blake3(body).digest() != data[:_KEY_BYTES]:
        return None
    try:
        return decode(memoryview(body)[_KEY_BYTES:], kind, "cache of causes", limit=None)
    except MalformedInputError:
        return None
