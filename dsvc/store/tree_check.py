"""Check what manifests say: nodes against their parents, chunk lists against files, chunks against packs.

Goes on after a defect, and walks no subtree twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import blake3
import xxhash

from dsvc.model.errors import DsvcError, MalformedInputError, MissingDataError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import ChunkRef, Entry
from dsvc.model.paths import display_path
from dsvc.store.block import ItemType
from dsvc.store.chunk_list import read_list_node
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.defects import Defect, by_error
from dsvc.store.manifest_tree import EMPTY_ROOT, Child, Items, read_node
from dsvc.store.mark import Marks
from dsvc.store.rewrite import is_sound

_NO_BYTES: Final = (blake3.blake3(b"").digest(), xxhash.xxh3_128_digest(b""))
_ZEROS: Final = bytes(1 << 20)
_MAX_READ_BYTES: Final = 1 << 42


class Need(NamedTuple):
    """A chunk that is needed, and where in which file its bytes are."""

    id: bytes
    length: int
    entry: Entry
    offset: int


class _Node(NamedTuple):
    """A node to look at: the level and the rest that its parent says, the greatest path before it."""

    id: bytes
    level: int | None = None
    said: Child | None = None
    after: bytes = b""


class TreeCheck:
    """Checks the manifests of a store.

    Parameters
    ----------
    store : ChunkStore
        Where they are.
    read_data : bool
        Whether files of several chunks are read and compared with their digests.
    wanted : callable, optional
        Whether repair looks for a chunk; where it's needed is then noted in `needs`.

    Attributes
    ----------
    defects : list of Defect
        What was found.
    missing, needs : dict
        Chunks that no pack has, and those that were wanted, with a file that needs each.
    """

    def __init__(
        self, store: ChunkStore, *, read_data: bool, wanted: Callable[[bytes], bool] = lambda _: False
    ) -> None:
        self._store = store
        self._read_data = read_data
        self._wanted = wanted
        self._marks = Marks(store, strict=False)
        self._seen_lists: set[int] = set()
        self._reported: set[tuple[str, bytes]] = set()
        self.defects: list[Defect] = []
        self.missing: dict[bytes, Need] = {}
        self.erased: set[bytes] = set()
        """Chunks of the manifests that were erased on purpose."""
        self.needs: dict[bytes, Need] = {}
        self.lists: dict[bytes, Entry] = {}
        """Files whose chunk list can't be read, by the list's root."""

    def _report(self, number: str, kind: str, id_: bytes, message: str) -> None:
        if (number, id_) not in self._reported:
            self._reported.add((number, id_))
            self.defects.append(Defect(id=number, object=f"{kind}:{id_.hex()}", message=message))

    def check(self, roots: Iterable[bytes]) -> None:
        """Check manifests by their roots."""
        for root in roots:
            pending = [_Node(bytes(root))]
            while pending:
                node = pending.pop()
                if node.id != bytes(EMPTY_ROOT) or node.said is not None:
                    pending.extend(self._node(*node))

    def _node(self, id_: bytes, expected: int | None, said: Child | None, after: bytes) -> Iterator[_Node]:
        try:
            is_new = self._marks.mark(id_, ItemType.NODE)
            if not is_new and said is None:
                return
            level, items = self._reread(lambda: read_node(self._store, NodeId(id_)))
        except DsvcError as error:
            number = by_error(error, missing="F020", wrong="F021", malformed="F022")
            self._report(number, "node", id_, error.message)
            return
        if expected is not None and level != expected:
            self._report("F023", "node", id_, f"its level is {level}, its parent says {expected}")
            return
        if said is not None and said != _summary(id_, items):
            self._report("F023", "node", id_, "its last path, its files or its size differ from its parent's")
        first = items[0] if items else None
        if isinstance(first, Entry) and first.path <= after:
            self._report("F023", "node", id_, "it begins before the one before it ends")
        if not is_new:
            # Its entries were looked at; where it begins matters here again.
            if isinstance(first, Child) and after:
                yield _Node(first.id, level - 1, first, after)
            return
        for item in items:
            if isinstance(item, Child):
                yield _Node(item.id, level - 1, item, after)
                after = item.last
            elif item.is_tree:
                yield _Node(item.digest)
            else:
                self._entry(item)

    def _reread(self, read: Callable[[], tuple[int, Items]]) -> tuple[int, Items]:
        """Read again what failed once, after a look at the packs that are there now."""
        try:
            return read()
        except MalformedInputError:
            raise
        except DsvcError:
            self._store.forget()
            return read()

    # Files

    def _entry(self, entry: Entry) -> None:
        path = display_path(entry.path)
        if entry.chunks is not None:
            self._list_of(entry, path)
        elif entry.size:
            self._chunk(ChunkRef(entry.size, entry.digest), entry, 0, path)
        elif (entry.digest, entry.xxh3) != _NO_BYTES:
            self._report("F031", "path", entry.path, f"{path}: empty, with the digest of something else")

    def _chunk(self, ref: ChunkRef, entry: Entry, offset: int, path: str) -> None:
        if ref.id is None:
            return
        if self._wanted(ref.id):
            self.needs.setdefault(ref.id, Need(ref.id, ref.length_bytes, entry, offset))
        try:
            marked, place = self._marks.place(ref.id)
        except MissingDataError:
            self.missing.setdefault(ref.id, Need(ref.id, ref.length_bytes, entry, offset))
            self._report("F028", "chunk", ref.id, f"{path}: chunk {ref.id.hex()[:12]} is missing")
            return
        if place.erased:
            self.erased.add(ref.id)
        if marked.trashed and not place.erased and not is_sound(self._store, marked.footer, ref.id, place):
            self.missing.setdefault(ref.id, Need(ref.id, ref.length_bytes, entry, offset))
            self._report(
                "F010", "chunk", ref.id, f"{path}: of chunk {ref.id.hex()[:12]} no whole copy is left"
            )
            return
        if place.length != ref.length_bytes or place.item_type != ItemType.CHUNK:
            self._report(
                "F029", "chunk", ref.id, f"{path}: chunk {ref.id.hex()[:12]} has another length or type"
            )

    def _list_of(self, entry: Entry, path: str) -> None:
        assert entry.chunks is not None
        # Sixty bytes a list, not the list itself: one list may serve many versions of a file.
        key = hash((entry.chunks, entry.size, entry.digest, entry.xxh3))
        if key in self._seen_lists:
            return
        self._seen_lists.add(key)
        found = len(self.defects)
        chunks = self._list_chunks(entry.chunks)
        total = 0
        # A list of a few bytes may claim any length in holes or in one chunk again and again.
        readable = self._read_data and entry.size <= _MAX_READ_BYTES
        sums = (blake3.blake3(), xxhash.xxh3_128()) if readable else None
        for ref in chunks:
            self._chunk(ref, entry, total, path)
            total += ref.length_bytes
            if total > entry.size:
                break
            if sums is not None and not self._feed(ref, sums):
                sums = None
        if len(self.defects) > found:
            if any(defect.object.startswith("list:") for defect in self.defects[found:]):
                self.lists[entry.chunks] = entry
            return
        if total != entry.size:
            self._report("F027", "list", entry.chunks, f"{path}: its chunks don't sum to its size")
        elif sums is not None and (sums[0].digest(), sums[1].digest()) != (entry.digest, entry.xxh3):
            self._report("F030", "file", entry.digest, f"{path}: its content has another digest or checksum")

    def _feed(self, ref: ChunkRef, sums: tuple[blake3.blake3, xxhash.xxh3_128]) -> bool:
        """Add a chunk to both sums; False where it can't be had, which the scrub of packs reports."""
        if ref.id is None:
            left = ref.length_bytes
            while left:
                part = _ZEROS[: min(left, len(_ZEROS))]
                sums[0].update(part)
                sums[1].update(part)
                left -= len(part)
            return True
        try:
            footer, place = self._store.locate(ref.id)
            data = self._store.read_at(footer, place)
        except DsvcError:
            return False
        sums[0].update(data)
        sums[1].update(data)
        return True

    def _list_chunks(self, root: bytes) -> Iterator[ChunkRef]:
        pending: list[tuple[bytes, int | None, Child | None]] = [(root, None, None)]
        while pending:
            id_, expected, said = pending.pop()
            try:
                level, items = read_list_node(self._store, id_)
            except DsvcError as error:
                number = by_error(error, missing="F024", wrong="F025", malformed="F026")
                self._report(number, "list", id_, error.message)
                return
            if expected is not None and level != expected:
                self._report("F026", "list", id_, "its level is not what its parent says")
                return
            if said is not None and (said.files, said.size) != _sums(items):
                self._report("F026", "list", id_, "its chunks or its length differ from its parent's")
            if level:
                pending.extend((c.id, level - 1, c) for c in reversed(items) if isinstance(c, Child))
            else:
                yield from (ref for ref in items if isinstance(ref, ChunkRef))


def _summary(id_: bytes, items: Items) -> Child:
    """What a parent must say of a node."""
    last = items[-1] if items else None
    if isinstance(last, Child):
        files, size = _sums(items)
        return Child(last.last, id_, files, size)
    size = sum(entry.size for entry in items if isinstance(entry, Entry))
    return Child(last.path if last else b"", id_, len(items), size)


def _sums(items: Sequence[ChunkRef] | Items) -> tuple[int, int]:
    children = [item for item in items if isinstance(item, Child)]
    if children:
        return sum(c.files for c in children), sum(c.size for c in children)
    return len(items), sum(item.length_bytes for item in items if isinstance(item, ChunkRef))
