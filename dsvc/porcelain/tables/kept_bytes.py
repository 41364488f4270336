"""Which bytes two versions of a file share, told by their chunks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from dsvc.diff.content import BufferContent, Content, StoredContent
from dsvc.diff.line_ranges import changed_spans
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_source import StoredSource, WorktreeSource
from dsvc.porcelain.tree.worktree_side import FileBytes, chunk_class
from dsvc.table.index.index_reuse import Kept
from dsvc.table.origin.source import TableSource


def kept_bytes(repo: Workspace, old: TableSource, new: TableSource) -> list[Kept]:
    """Stretches of chunks that both versions have, in the order of both; none of files of less than 2 MiB.

    Raises
    ------
    UnstableFileError
        If a file of the working tree changes meanwhile.
    MissingDataError, CorruptDataError, MalformedInputError
        If a chunk list can't be read.
    """
    with _content(repo, old, new) as before, _content(repo, new, old) as after:
        if before is None or after is None:
            return []
        kept = []
        start = now = 0
        for span in changed_spans(before, after):
            kept.append(Kept(start, span.old_start, now))
            start, now = span.old_end, span.new_end
        kept.append(Kept(start, before.size, now))
    return [part for part in kept if part.end > part.start]


@contextmanager
def _content(repo: Workspace, source: TableSource, other: TableSource) -> Iterator[Content | None]:
    if isinstance(source, StoredSource):
        yield StoredContent(repo.store, source.entry)
    elif isinstance(source, WorktreeSource) and isinstance(other, StoredSource):
        with source.open() as stream:
            size = os.fstat(stream.fileno()).st_size
            yield BufferContent(FileBytes(stream.fileno(), size), chunk_class(other.entry))
    else:
        yield None
