"""Artifacts: files, and the files of a folder, as runs name them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import blake3
import msgspec

from dsvc.model.encoding import encode
from dsvc.model.manifest import Entry
from dsvc.model.run_record import Artifact

_DOMAIN = "dsvc v1 folder listing"
_BATCH = 1000


def folder_digest(members: Iterable[tuple[bytes, int, bytes]]) -> bytes:
    """Digest of a folder: BLAKE3-256 over its files' relative paths, modes and digests, ordered by path."""
    hasher = blake3.blake3(derive_key_context=_DOMAIN)
    rest = iter(members)
    while batch := b"".join(map(encode, islice(rest, _BATCH))):
        hasher.update(batch)
    return hasher.digest()


def relative(entries: Iterable[Entry], folder: bytes) -> list[Entry]:
    """Entries of a folder's files with paths relative to it, in order; ``b""`` is the working tree."""
    skip = len(folder) + 1 if folder else 0
    found = [msgspec.structs.replace(entry, path=entry.path[skip:]) for entry in entries]
    return sorted(found, key=lambda entry: entry.path)


def file_artifact(entry: Entry) -> Artifact:
    """Artifact of one file."""
    return Artifact(path=entry.path, digest=entry.digest, size=entry.size, records=entry.rows)


def folder_artifact(folder: bytes, members: Sequence[Entry]) -> Artifact:
    """Artifact of some files of a folder.

    Parameters
    ----------
    members : sequence of Entry
        Its files, with paths relative to it, in order.
    """
    return Artifact(
        path=folder,
        digest=folder_digest((entry.path, entry.mode, entry.digest) for entry in members),
        folder=True,
        size=sum(entry.size for entry in members),
        records=len(members),
    )
