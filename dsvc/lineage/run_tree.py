"""A run in the store: one manifest that holds its record, the bytes it read and made, its code and row maps.

``run`` is the record (`dsvc.model.run_record`). ``inputs/N`` and ``outputs/N`` are the artifacts by their
place in it: a file's entry, or a tree of the folder's files with paths relative to it. ``code/PATH`` are code
files, ``patch`` the changes that the checkout had, ``maps/OUTPUT-INPUT`` row maps, ``rows/INPUT`` what became
of an input's rows. The root of the manifest is the run's id, so that the id proves all of it, and whatever
marks or checks manifests keeps the bytes of pending runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from dsvc.model.errors import CorruptDataError, MalformedInputError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_FILE, Entry, tree_entry
from dsvc.model.run_record import Artifact, Run, RunId, decode_run, encode_run
from dsvc.model.table_kind import TableKind
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.content import NO_FACTS, Facts
from dsvc.store.ingest import store_bytes
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest
from dsvc.store.materialize import read_content

RECORD: Final = b"run"
MAX_PART_BYTES: Final = 1 << 30
"""A row map of 200 million links; the record is bounded by what is decoded of it (`dsvc.model.encoding`)."""
PATCH: Final = b"patch"


class Files(NamedTuple):
    """Bytes of an artifact: one file's entry, or those of a folder with paths relative to it."""

    entries: Sequence[Entry]
    folder: bool


class RunTree:
    """A recorded run.

    Parameters
    ----------
    store : ChunkStore
        Where it is.
    id : RunId
        Which.
    listings : dict or None
        Files of folders by the root of their manifest, shared by runs: what one made another one reads.
    """

    def __init__(
        self,
        store: ChunkStore,
        id: RunId,  # noqa: A002
        listings: dict[bytes, list[Entry]] | None = None,
    ) -> None:
        self._store = store
        self.id = id
        self._manifest = Manifest(store, NodeId(bytes(id)), trees=True)
        self._run: Run | None = None
        self._listings = {} if listings is None else listings

    @property
    def run(self) -> Run:
        """The record.

        Raises
        ------
        MissingDataError, CorruptDataError, MalformedInputError
            If it can't be read.
        """
        if self._run is None:
            self._run = decode_run(self._content(RECORD))
        return self._run

    def entry(self, path: bytes) -> Entry | None:
        """Entry of a part, ``maps/0-1``; None where the run has none such."""
        return self._manifest.get(path)

    def parts(self, folder: bytes) -> list[bytes]:
        """Paths of the parts in a folder of it, such as ``maps``."""
        return [entry.path for entry in self._manifest.entries(folder)]

    def _content(self, path: bytes) -> bytes:
        entry = self._manifest.get(path)
        if entry is None or not entry.is_file:
            raise CorruptDataError(
                f"run {self.id.short()} has no {path.decode()}", details={"run": self.id.hex()}
            )
        if entry.size > MAX_PART_BYTES:
            raise MalformedInputError(f"run {self.id.short()}: {path.decode()} has {entry.size} bytes")
        return read_content(self._store, entry)

    def part(self, path: bytes) -> bytes | None:
        """Content of a part, None where the run has none such; errors as `run`."""
        return None if self._manifest.get(path) is None else self._content(path)

    def input_files(self, number: int) -> list[Entry]:
        """Entries of an input's files, with their paths in the working tree."""
        return self._files(b"inputs/%d" % number, self.run.inputs[number])

    def output_files(self, number: int) -> list[Entry]:
        """Entries of an output's files, with their paths in the working tree."""
        return self._files(b"outputs/%d" % number, self.run.outputs[number])

    def files_read(self) -> Iterator[Entry]:
        """Yield the files of all inputs, with their paths in the working tree."""
        for number in range(len(self.run.inputs)):
            yield from self.input_files(number)

    def files_made(self) -> Iterator[Entry]:
        """Yield the files of all outputs, with their paths in the working tree."""
        for number in range(len(self.run.outputs)):
            yield from self.output_files(number)

    def _files(self, place: bytes, artifact: Artifact) -> list[Entry]:
        if not artifact.folder:
            return [msgspec.structs.replace(self._artifact(place, artifact), path=artifact.path)]
        prefix = artifact.path + b"/" if artifact.path else b""
        return [
            msgspec.structs.replace(each, path=prefix + each.path) for each in self.listing(place, artifact)
        ]

    def listing(self, place: bytes, artifact: Artifact) -> list[Entry]:
        """Entries of a folder's files as they are stored, with paths relative to it; kept for the next call.

        Parameters
        ----------
        place : bytes
            ``inputs/N`` or ``outputs/N``.
        artifact : Artifact
            What the record says of it.
        """
        root = self._artifact(place, artifact).digest
        if root not in self._listings:
            self._listings[root] = list(Manifest(self._store, NodeId(root)).entries())
        return self._listings[root]

    def _artifact(self, place: bytes, artifact: Artifact) -> Entry:
        entry = self._manifest.get(place)
        if entry is None or entry.is_tree != artifact.folder:
            raise CorruptDataError(
                f"run {self.id.short()} lacks {place.decode()}", details={"run": self.id.hex()}
            )
        return entry

    def code_files(self) -> list[Entry]:
        """Entries of the code files, with their paths in the working tree."""
        found = self._manifest.entries(b"code")
        return [msgspec.structs.replace(entry, path=entry.path.removeprefix(b"code/")) for entry in found]


def store_run(
    store: ChunkStore,
    run: Run,
    *,
    inputs: Sequence[Files],
    outputs: Sequence[Files],
    code: Sequence[Entry] = (),
    parts: Mapping[bytes, bytes] | None = None,
) -> RunId:
    """Store a run; the bytes of its artifacts are stored already.

    Parameters
    ----------
    inputs, outputs : sequence of Files
        Bytes of the record's inputs and outputs, in its order.
    code : sequence of Entry
        Code files, at their paths in the working tree.
    parts : mapping of bytes to bytes or None
        Row maps and accounts by their paths in the run.
    """
    found: dict[bytes, Entry] = {}
    for prefix, artifacts in ((b"inputs", inputs), (b"outputs", outputs)):
        for number, files in enumerate(artifacts):
            place = b"%s/%d" % (prefix, number)
            found[place] = _place(store, place, files)
    for entry in code:
        found[b"code/" + entry.path] = msgspec.structs.replace(entry, path=b"code/" + entry.path)
    for path, data in {RECORD: encode_run(run), **(parts or {})}.items():
        found[path] = store_bytes(store, path, data, None, _no_facts).entry(path, MODE_FILE)
    return RunId(bytes(Manifest(store, EMPTY_ROOT, trees=True).update(sorted(found.items()))))


def _no_facts(table: TableKind, data: bytes) -> Facts:
    """Describe nothing: what dsvc writes here is no table of the user's."""
    return NO_FACTS


def _place(store: ChunkStore, place: bytes, files: Files) -> Entry:
    if not files.folder:
        (entry,) = files.entries
        return msgspec.structs.replace(entry, path=place)
    members = sorted(files.entries, key=lambda entry: entry.path)
    return tree_entry(place, Manifest(store, EMPTY_ROOT).update([(e.path, e) for e in members]))
