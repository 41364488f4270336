"""What the steps of a repair made so far: new versions of files and artifacts, in place of which old ones.

A path may have held several contents on the way to a version; so an old file is known by path and digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.link_file import LinkFile, encode_links
from dsvc.lineage.links import Links
from dsvc.lineage.row_set import decode_rows, encode_rows
from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.recompute.recompute_correspondence import (
    Correspondence,
    NewArtifact,
    correspondence_of_versions,
    of_folders,
)
from dsvc.porcelain.recompute.recompute_whole import outputs_before
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.runs.run_recording import OutputMissingError
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.manifest_tree import Manifest

if TYPE_CHECKING:
    from dsvc.lineage.run_tree import RunTree


class RepairWorld:
    """New versions of what the steps of a repair made.

    Parameters
    ----------
    repo : Workspace
    base : Manifest
        Of the version that the repair starts from.
    """

    def __init__(self, repo: Workspace, base: Manifest) -> None:
        self._repo = repo
        self._base = base
        self._artifacts: dict[ArtifactNode, NewArtifact] = {}
        self._files: dict[ArtifactNode, Entry | None] = {}
        self._rows: dict[ArtifactNode, Correspondence | None] = {}
        self._added: dict[bytes, Entry] = {}

    # What was made

    def put(self, old: ArtifactFiles, new: NewArtifact) -> None:
        """Note that an artifact has a new version; one that came out as it was has none."""
        node = ArtifactNode(old.path, old.artifact().digest)
        if new.is_same_as(node.digest):
            return
        self._artifacts[node] = new
        found = {entry.path: entry for entry in new.files.entries}
        for entry in old.entries:
            place = ArtifactNode(entry.path, entry.digest)
            now = found.pop(entry.path, None)
            if now is None or now.digest != entry.digest:
                self._files[place] = _as_before(self._base.get(entry.path), entry, now)
                self._rows[place] = None if old.folder else new.correspondence
        self.add(found.values(), beside=old.entries)

    def add(self, entries: Iterable[Entry], beside: Iterable[Entry]) -> None:
        """Note files that are new, where the version has one of those that were made with them."""
        if any((now := self._base.get(e.path)) is not None and now.digest == e.digest for e in beside):
            self._added |= {entry.path: entry for entry in entries if self._base.get(entry.path) is None}

    def remove(self, old: ArtifactFiles) -> None:
        """Note that an artifact is not made any more."""
        for entry in old.entries:
            self._files[ArtifactNode(entry.path, entry.digest)] = None

    def copy(self, origin: bytes, paths: Iterable[bytes]) -> bool:
        """Let files be what the one is that they are copies of; says whether that has a new version."""
        known = [(node, entry) for node, entry in self._files.items() if node.path == origin]
        for path in paths:
            for node, entry in known:
                now = None if entry is None else msgspec.structs.replace(entry, path=path)
                place = ArtifactNode(path, node.digest)
                self._files.setdefault(place, now)
                self._rows.setdefault(place, self._rows.get(node))
        return bool(known)

    def replace(self, entry: Entry) -> None:
        """Let a file of the version have other bytes; it must be there."""
        old = self._base.get(entry.path)
        assert old is not None
        self._files[ArtifactNode(entry.path, old.digest)] = entry

    # What is made of it

    def inputs(self, tree: RunTree) -> dict[int, NewArtifact]:
        """New versions of what a run read, by the place in its record.

        Raises
        ------
        OutputMissingError
            If what it read is not made any more.
        """
        found = {}
        for number, each in enumerate(tree.run.inputs):
            old = ArtifactFiles(each.path, each.folder, tuple(tree.input_files(number)), each.role)
            new = self._artifacts.get(ArtifactNode(each.path, each.digest))
            if new is None:
                new = self._folder(old) if each.folder else self._file(old, tuple(each.key))
            if new is not None and not new.is_same_as(each.digest):
                found[number] = new
        return found

    def _file(self, old: ArtifactFiles, key: tuple[str, ...]) -> NewArtifact | None:
        (entry,) = old.entries
        node = ArtifactNode(entry.path, entry.digest)
        if node not in self._files:
            return None
        now = self._files[node]
        if now is None:
            name = display_path(entry.path)
            raise OutputMissingError(
                f"{name} is not made any more, and a later step reads it", details={"path": name}
            )
        files = old._replace(entries=(now,))
        rows = self._rows.get(node)
        if rows is None:
            rows = correspondence_of_versions(self._repo, old, files, key=key)
        return NewArtifact(files, rows)

    def _folder(self, old: ArtifactFiles) -> NewArtifact | None:
        entries = []
        for entry in old.entries:
            now = self._files.get(ArtifactNode(entry.path, entry.digest), entry)
            if now is not None:
                entries.append(now)
        files = old._replace(entries=tuple(entries))
        return NewArtifact(files, of_folders(old.members(), files.members()))

    def root(self) -> NodeId:
        """Manifest of the version with everything that is new; not published."""
        changes: dict[bytes, Entry | None] = dict(self._added)
        for node, entry in self._files.items():
            now = self._base.get(node.path)
            if now is not None and now.digest == node.digest:
                changes[node.path] = entry
        return self._base.update(sorted(changes.items())) if changes else self._base.root


def _as_before(now: Entry | None, old: Entry, new: Entry | None) -> Entry | None:
    """Let a file keep the mode that a person gave it."""
    if new is None or now is None or now.digest != old.digest or now.mode == old.mode:
        return new
    return msgspec.structs.replace(new, mode=now.mode)


# How rows stand to those before, as bytes


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    old_rows: int
    rows: int
    links: bytes
    changed: bytes


def encode_correspondence(found: Correspondence) -> bytes:
    """Encode how rows stand to those before."""
    known = np.flatnonzero(found.old_of >= 0)
    links = encode_links(Links(known, found.old_of[known]))
    changed = np.flatnonzero(found.changed)
    return encode(_Packed(found.old_rows, found.rows, links, encode_rows(changed)))


def decode_correspondence(data: bytes, rows: int) -> Correspondence:
    """Decode what `encode_correspondence` made.

    Parameters
    ----------
    rows : int
        Rows that there are now.

    Raises
    ------
    MalformedInputError
        If it is anything else.
    """
    packed = decode(data, _Packed, "rows of a repair", limit=None)
    links, changed = LinkFile(packed.links), decode_rows(packed.changed)
    most = max(links.max_output, int(changed[-1]) if len(changed) else -1)
    if packed.rows != rows or most >= rows or links.max_input >= packed.old_rows or packed.old_rows < 0:
        raise MalformedInputError("a repair names rows that it doesn't have")
    found = Correspondence(np.full(rows, -1, np.int64), np.zeros(rows, np.bool_), packed.old_rows)
    pairs = links.all()
    found.old_of[pairs.outputs] = pairs.inputs
    found.changed[changed] = True
    return found


def made_before(tree: RunTree, parts: Mapping[int, bytes | None]) -> list[NewArtifact]:
    """What a recorded step made, with how its rows stand to those before, as it was kept.

    Parameters
    ----------
    parts : mapping of int to (bytes or None)
        By output; None where it isn't known.

    Raises
    ------
    MalformedInputError, CorruptDataError, MissingDataError
        If that can't be read.
    """
    found = []
    for number, files in enumerate(outputs_before(tree)):
        data, records = parts.get(number), tree.run.outputs[number].records
        known = None if data is None or records is None else decode_correspondence(data, records)
        found.append(NewArtifact(files, known))
    return found
