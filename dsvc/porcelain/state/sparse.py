"""Sparse checkouts: which paths the working tree holds, by patterns with gitignore syntax."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from dsvc.model.encoding import encode
from dsvc.model.errors import CorruptDataError, UsageError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_FILE
from dsvc.porcelain.state.operation_note import NO_PATTERNS
from dsvc.porcelain.state.staging import read_checked, remove_checked, write_checked
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.layout import Layout
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest

_KEPT = b"patterns"


class SparsePatternError(UsageError):
    """A pattern of a sparse checkout can't be read."""

    code = "sparse-pattern"


class SparsePatterns:
    """Patterns that choose paths; none, or ``*`` alone, chooses all.

    Parameters
    ----------
    patterns : sequence of str
        gitignore syntax, where a match means *included*.

    Raises
    ------
    SparsePatternError
        If one can't be read, or there are too many.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = [] if list(patterns) == ["*"] else list(patterns)
        self._spec: object | None = None
        if self.patterns:
            from dsvc.model.path_patterns import PatternError, path_patterns  # loaded only for sparse trees

            try:
                self._spec = path_patterns(self.patterns)
            except PatternError as error:
                raise SparsePatternError(str(error)) from error

    def __bool__(self) -> bool:
        """Whether anything is left out at all."""
        return self._spec is not None

    def includes(self, path: bytes) -> bool:
        """Whether the working tree holds this path."""
        if self._spec is None:
            return True
        return bool(self._spec.match_file(path.decode("utf-8", "surrogateescape")))  # type: ignore[attr-defined]


def _path(layout: Layout) -> str:
    return os.path.join(layout.work, "sparse")


def load(layout: Layout) -> SparsePatterns | None:
    """Patterns of a working tree, as their file has them; None where there is no file.

    Raises
    ------
    CorruptDataError
        If the file that holds them is damaged.
    """
    body = read_checked(_path(layout), "sparse patterns")
    return None if body is None else _decode(body, _path(layout))


def _decode(body: bytes, where: str) -> SparsePatterns:
    try:
        return SparsePatterns(msgspec.msgpack.decode(body, type=list[str]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, SparsePatternError) as error:
        raise CorruptDataError("the sparse patterns are malformed", details={"path": where}) from error


def save(layout: Layout, patterns: Sequence[str], *, durable: bool) -> None:
    """Replace the patterns; ``*`` alone (or none) ends a sparse checkout."""
    chosen = SparsePatterns(patterns)
    if chosen:
        write_checked(_path(layout), encode(chosen.patterns), durable=durable)
    else:
        remove_checked(_path(layout), durable=durable)


def hold(layout: Layout, patterns: SparsePatterns, *, durable: bool) -> None:
    """Write down the patterns that a verb begins from, none too, as `Staging.hold` does."""
    write_checked(_path(layout), encode(patterns.patterns), durable=durable)


# For the note of an operation


def keep(store: ChunkStore, patterns: SparsePatterns) -> str:
    """Store patterns; the caller publishes what is stored.

    Returns
    -------
    str
        For `kept_patterns`: the root of a manifest, in hex, or ``none``.
    """
    from dsvc.store.content import NO_FACTS
    from dsvc.store.ingest import store_bytes

    if not patterns:
        return NO_PATTERNS
    data = encode(patterns.patterns)
    entry = store_bytes(store, _KEPT, data, None, lambda *_: NO_FACTS).entry(_KEPT, MODE_FILE)
    return Manifest(store, EMPTY_ROOT).update([(_KEPT, entry)]).hex()


def kept_patterns(store: ChunkStore, kept: str) -> SparsePatterns:
    """Patterns as they were kept.

    Raises
    ------
    CorruptDataError
        If what was kept is malformed.
    """
    from dsvc.store.materialize import read_content

    if kept == NO_PATTERNS:
        return SparsePatterns([])
    entry = Manifest(store, NodeId.parse(kept)).get(_KEPT)
    if entry is None:
        raise CorruptDataError("the kept sparse patterns are malformed", details={"root": kept})
    return _decode(read_content(store, entry), kept)
