"""Row indexes of a repository: made on first use, kept in the cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from dsvc.fs import cache_files, files
from dsvc.model.errors import DsvcError
from dsvc.model.table_kind import TableKind
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_source import StoredSource
from dsvc.table.index.index_file import IndexFile, StoredIndex, encode_index, load_index, oldest_first
from dsvc.table.index.row_index import PIECE, RowIndex
from dsvc.table.origin.source import NotATableError, TableLimitError, TableSource

if TYPE_CHECKING:
    from dsvc.diff.row_diff import TableVersion
    from dsvc.table.guard import IndexesToCome
    from dsvc.table.index.index_reuse import Like

MAX_CACHE_BYTES: Final = 4 << 30
"""What the cache may hold before its oldest files go."""
_SIDE_BY_SIDE: Final = 4
"""Indexes that are made at once."""
EMPTY_INDEX: Final = RowIndex([], np.zeros(0, PIECE), [[]])
"""Index of a table without rows and columns."""


class KnownTable(NamedTuple):
    """A version of a file, and the table that it is."""

    source: TableSource
    kind: TableKind


class IndexesBegun(NamedTuple):
    """Tables whose indexes are being made; `indexes.end` gives them up."""

    tables: Sequence[KnownTable]
    indexes: IndexesToCome


class RowIndexes:
    """Gives the row indexes of tables.

    Parameters
    ----------
    repo : Workspace
        Whose cache they are kept in.
    """

    def __init__(self, repo: Workspace) -> None:
        self._repo = repo
        self._folder = os.path.join(repo.layout.cache, "rows")
        # Versions share files; one that an index at hand holds open isn't read and checked again.
        self._opened: WeakValueDictionary[bytes, IndexFile] = WeakValueDictionary()

    def _path(self, digest: bytes) -> str:
        return os.path.join(self._folder, digest.hex())

    def cached(self, digest: bytes) -> StoredIndex | None:
        """Index of the table with these bytes, None where the cache has none."""
        return load_index(digest, self._path, self._opened)

    def get(
        self, table: KnownTable, base: RowIndex | None = None, like: KnownTable | None = None
    ) -> RowIndex:
        """Index of a table, from the cache or made now; kept only where the table is stored.

        Parameters
        ----------
        base : RowIndex or None
            Index of a version much like it, whose pieces need not be kept twice.
        like : KnownTable or None
            That version, where the bytes that both share need not be read again either.

        Raises
        ------
        NotATableError, TableLimitError
            If it can't be read as a table.
        """
        digest = table.source.digest
        found = self.cached(digest)
        if found is not None:
            return found
        (index,) = self._build([table], self._like(table, base, like))
        if not isinstance(table.source, StoredSource):
            return index
        self._keep(index, digest, base)
        # Only what came from a file can be the base of the next one.
        return self.cached(digest) or index

    def several(self, tables: Sequence[KnownTable]) -> list[RowIndex | DsvcError]:
        """Indexes of some stored tables, those that are missing made side by side.

        Returns
        -------
        list of RowIndex or DsvcError
            Why a table can't be read in place of its index.
        """
        found: dict[bytes, RowIndex | DsvcError] = {}
        missing: dict[bytes, KnownTable] = {}
        for table in tables:
            known = self.cached(table.source.digest)
            if known is not None:
                found[table.source.digest] = known
            else:
                missing[table.source.digest] = table
        waiting = list(missing.items())
        for at in range(0, len(waiting), _SIDE_BY_SIDE):
            batch = waiting[at : at + _SIDE_BY_SIDE]
            found.update(zip((digest for digest, _ in batch), self._made([t for _, t in batch]), strict=True))
        return [found[table.source.digest] for table in tables]

    def begin(self, tables: Sequence[KnownTable]) -> IndexesBegun | None:
        """Begin to index tables that the cache lacks; None where nothing is to be done."""
        from dsvc.table.guard import IndexesToCome

        known = {table.source.digest: table for table in tables if table.source.size}
        missing = [table for digest, table in known.items() if self.cached(digest) is None]
        if not missing or not IndexesToCome.possible():
            return None
        missing = missing[:_SIDE_BY_SIDE]
        return IndexesBegun(missing, IndexesToCome(missing))

    def keep(self, begun: IndexesBegun) -> None:
        """Wait for what `begin` began, and keep it."""
        for table, index in zip(begun.tables, begun.indexes.results(), strict=False):
            if index is not None:
                self._repo.reading_apart.keep_read(_foreign([table]))
                self._keep(index, table.source.digest, None)

    def put(self, table: KnownTable, index: RowIndex, base: RowIndex | None) -> None:
        """Keep an index that was made otherwise, of a stored table; parameters as `get`."""
        self._keep(index, table.source.digest, base)

    def _build(self, tables: Sequence[KnownTable], like: Like | None = None) -> list[RowIndex]:
        """Make indexes; a child that came through a table has read all of it."""
        from dsvc.table.guard import build_indexes

        foreign = _foreign(tables)
        found = build_indexes(tables, like, apart=bool(foreign))
        self._repo.reading_apart.keep_read(foreign)
        return found

    def _made(self, tables: Sequence[KnownTable]) -> list[RowIndex | DsvcError]:
        """Make indexes, each by itself where they can't be made together."""
        try:
            indexes = self._build(tables)
        except (NotATableError, TableLimitError) as error:
            return [error] if len(tables) == 1 else [self._made([table])[0] for table in tables]
        for table, index in zip(tables, indexes, strict=True):
            self._keep(index, table.source.digest, None)
        return list(indexes)

    def _like(self, table: KnownTable, base: RowIndex | None, like: KnownTable | None) -> Like | None:
        if base is None or like is None or like.kind != table.kind or not table.kind.format.is_text:
            return None
        from dsvc.porcelain.tables.kept_bytes import kept_bytes
        from dsvc.table.index.index_reuse import Like

        kept = kept_bytes(self._repo, like.source, table.source)
        return Like(like.source, base, kept) if kept else None

    def _keep(self, index: RowIndex, digest: bytes, base: RowIndex | None) -> None:
        """Save an index; a full disk only costs the time to make it again."""
        try:
            if not cache_files.keep(self._path(digest), encode_index(index, digest, base)):
                return
            kept = oldest_first(self._folder)
            excess = sum(size for _, size in kept) - MAX_CACHE_BYTES
            for path, size in kept:
                if excess <= 0:
                    break
                files.unlink(path, missing_ok=True)
                excess -= size
        except (DsvcError, OSError):
            return

    def versions(self, old: KnownTable | None, new: KnownTable | None) -> tuple[TableVersion, TableVersion]:
        """Both sides of a comparison; None is an empty table. Raises as `get`."""
        from dsvc.diff.row_diff import TableVersion

        if old is None or new is None:
            return self._version(old), self._version(new)
        known, there = self.cached(old.source.digest), self.cached(new.source.digest)
        if known is None and there is None and not old.kind.format.is_text:
            first, second = self._both(old, new)
        else:
            first = known or self.get(old, there, new)
            second = there or self.get(new, first, old)
        return TableVersion(old.source, old.kind, first), TableVersion(new.source, new.kind, second)

    def _version(self, table: KnownTable | None) -> TableVersion:
        from dsvc.diff.row_diff import TableVersion

        if table is None:
            return TableVersion(None, None, EMPTY_INDEX)
        return TableVersion(table.source, table.kind, self.get(table))

    def _both(self, old: KnownTable, new: KnownTable) -> tuple[RowIndex, RowIndex]:
        """Make two indexes side by side."""
        first, second = self._build([old, new])
        if isinstance(old.source, StoredSource):
            self._keep(first, old.source.digest, None)
        if isinstance(new.source, StoredSource):
            self._keep(second, new.source.digest, self.cached(old.source.digest))
        return first, second


def _foreign(tables: Sequence[KnownTable]) -> list[bytes]:
    """Digests of those that may be somebody else's."""
    return [
        each.source.digest
        for each in tables
        if isinstance(each.source, StoredSource) and each.source.is_foreign
    ]
