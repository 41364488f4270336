"""What a source attests: the files under its paths as they are now, and which of their rows."""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.lineage.source_tree import store_part
from dsvc.model.errors import NotFoundError, StorageError, UsageError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_DIRECTORY, Entry, Kind
from dsvc.model.paths import check_structure, display_path
from dsvc.model.source_record import Coverage
from dsvc.porcelain.state.values import Skipped
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.safekeeping import store_file
from dsvc.porcelain.tree.status import scan_tree
from dsvc.porcelain.tree.tree_scan import Findings, Progress, parents
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsvc.porcelain.tables.row_indexes import KnownTable, RowIndexes
    from dsvc.table.query.predicate import Predicate
    from dsvc.table.roles import TableRules

ROLE: Final = "source"


class SourceRowsError(UsageError):
    """A source is said to cover rows of something that has none."""

    code = "source-rows"


class Attestation(NamedTuple):
    """What a source speaks for.

    Attributes
    ----------
    files : NodeId
        Manifest of the files.
    rows : dict of bytes to Entry
        Stored sets of rows, by the path of their file, where not all of a file's rows are meant.
    skipped : tuple of Skipped
        What can't be recorded, and why.
    """

    files: NodeId
    rows: dict[bytes, Entry]
    skipped: tuple[Skipped, ...]


def attest(
    repo: Workspace, source_id: str, covers: Sequence[Coverage], *, progress: Progress | None = None
) -> Attestation:
    """Store the files under some paths as they are now; the caller holds `repo.changing()`.

    Files that the stat cache proves to be as they were staged are neither read nor hashed.

    Raises
    ------
    NotFoundError
        If a path isn't there.
    StorageError, UnstableFileError
        If a file can't be read whole.
    SourceRowsError, PredicateError, UnknownColumnError, TableRulesError, NotATableError, TableLimitError
        If the rows that are meant can't be found.
    """
    manifest = repo.manifest(repo.staged().root)
    scope = _scope(covers)
    with Beneath(repo.root) as tree:
        for path in dict.fromkeys(each.path for each in covers):
            _check_there(repo, tree, manifest, path)
        found = scan_tree(repo, repo.staged(), scope, untracked="all", locked=True, progress=progress)
        _check_read(manifest, found)
        entries = _entries(repo, tree, manifest, scope, found)
    root = repo.manifest(EMPTY_ROOT).update(sorted(entries.items()))
    rows = attested_rows(repo, source_id, covers, entries)
    return Attestation(root, rows, tuple(Skipped(*each) for each in sorted(found.skipped)))


def _scope(covers: Sequence[Coverage]) -> list[bytes]:
    """Paths without those that lie below another."""
    paths = {each.path for each in covers}
    return sorted(p for p in paths if not (p and b"" in paths) and paths.isdisjoint(parents(p)))


def _check_there(repo: Workspace, tree: Beneath, manifest: Manifest, path: bytes) -> None:
    if path:
        check_structure(path)
    try:
        if not path or tree.lstat(path) is not None:
            return
    except NotAFolderError:
        pass
    # What the sparse patterns leave out is there all the same, as it was staged.
    if not any(not repo.sparse.includes(entry.path) for entry in manifest.entries(path)):
        raise NotFoundError(
            f"there is no file or folder {display_path(path)!r}", details={"path": display_path(path)}
        )


def _check_read(manifest: Manifest, found: Findings) -> None:
    for path, reason in found.skipped:
        if manifest.get(path) is not None:
            raise StorageError(
                f"cannot read {display_path(path)}: {reason}", details={"path": display_path(path)}
            )


def _entries(
    repo: Workspace, tree: Beneath, manifest: Manifest, scope: Sequence[bytes], found: Findings
) -> dict[bytes, Entry]:
    gone = set(found.missing)
    entries = {
        entry.path: entry
        for path in scope
        for entry in manifest.entries(path)
        if entry.mode != MODE_DIRECTORY and entry.path not in gone
    }
    news = [path for path, _, _ in found.changed] + found.untracked
    # A file that is named is meant, also where .dsvcignore leaves it out.
    news += [path for path in scope if path and path not in entries and not _is_folder(tree, path)]
    for path in dict.fromkeys(news):
        check_structure(path)
        entry = store_file(repo.store, tree, path, manifest.get(path))
        if entry is None:
            entries.pop(path, None)
        else:
            entries[path] = entry
    return entries


def _is_folder(tree: Beneath, path: bytes) -> bool:
    stat = tree.lstat(path)
    return stat is None or stat_module.S_ISDIR(stat.st_mode)


# Rows


def attested_rows(
    repo: Workspace, source_id: str, covers: Sequence[Coverage], entries: dict[bytes, Entry]
) -> dict[bytes, Entry]:
    """Find which rows of files are meant, and store these sets; files of which all are meant are left out.

    Raises
    ------
    SourceRowsError
        If a condition stands over what is no table.
    """
    tables = [entry for entry in entries.values() if entry.kind == Kind.TABLE]
    conditioned = any(each.where is not None for each in covers)
    if not conditioned and not (tables and os.path.lexists(os.path.join(repo.root, "dsvc.toml"))):
        return {}
    from dsvc.porcelain.tables.table_rules import table_rules

    finder = _RowFinder(repo, source_id, covers, table_rules(repo))
    chosen = list(finder.concerned(entries.values()))
    if not chosen:
        return {}
    from dsvc.lineage.row_set import encode_rows

    repo.store.publish()  # indexes are made in another process
    return {
        entry.path: store_part(repo.store, encode_rows(finder.rows(entry, wheres, columns)))
        for entry, wheres, columns in chosen
    }


class _RowFinder:
    """Finds which rows of tables are meant: by conditions, and by the column that names the source."""

    def __init__(
        self, repo: Workspace, source_id: str, covers: Sequence[Coverage], rules: TableRules
    ) -> None:
        from dsvc.porcelain.tables.row_indexes import RowIndexes

        self._repo = repo
        self._source_id = source_id
        self._covers = covers
        self._rules = rules
        self._indexes: RowIndexes = RowIndexes(repo)

    def concerned(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, list[str], tuple[str, ...]]]:
        """Files of which not all rows are meant, with conditions and columns that name sources."""
        for entry in entries:
            wheres = self._wheres(entry.path)
            if wheres and entry.kind != Kind.TABLE:
                name = display_path(entry.path)
                raise SourceRowsError(
                    f"{name} has no rows: --where goes with tables",
                    hint="name the tables with --path, and the rest in a second source",
                    details={"path": name},
                )
            columns = self._rules.for_path(entry.path).roles.get(ROLE, ()) if entry.kind == Kind.TABLE else ()
            if wheres or columns:
                yield entry, wheres, columns

    def _wheres(self, path: bytes) -> list[str]:
        """Conditions of the longest covered path; none where it covers all rows."""
        above = {path, b"", *parents(path)}
        nearest = max((len(each.path) for each in self._covers if each.path in above), default=0)
        wheres = [each.where for each in self._covers if each.path in above and len(each.path) == nearest]
        return [] if None in wheres else [where for where in wheres if where is not None]

    def rows(self, entry: Entry, wheres: Sequence[str], columns: Sequence[str]) -> NDArray[np.int64]:
        """Rows of a table that are meant."""
        import numpy as np

        from dsvc.porcelain.tables.row_indexes import KnownTable
        from dsvc.porcelain.tables.table_source import recognise_entry, table_source
        from dsvc.table.query.predicate import parse

        kind = recognise_entry(self._repo, entry)
        if kind is None:
            raise SourceRowsError(f"{display_path(entry.path)} can't be read as a table")
        table = KnownTable(table_source(self._repo, entry), kind)
        sets = []
        if wheres:
            sets.append([self._matching(parse(where), table) for where in wheres])
        if columns:
            sets.append([self._named(column, table) for column in columns])
        found = [np.unique(np.concatenate(each)) for each in sets]
        return found[0] if len(found) == 1 else np.intersect1d(found[0], found[1], assume_unique=True)

    def _matching(self, predicate: Predicate, table: KnownTable) -> NDArray[np.int64]:
        from dsvc.table.query.predicate import matching_rows

        return matching_rows(predicate, table.source, table.kind, self._indexes.get(table))

    def _named(self, column: str, table: KnownTable) -> NDArray[np.int64]:
        """Rows whose value in a column is the source's id; a column of numbers has no other id than one."""
        from dsvc.table.query.condition import Column, Compare, Comparison, Literal
        from dsvc.table.query.predicate import Predicate, PredicateError

        id_ = self._source_id
        numbers = [Literal(int(id_))] if id_.isdecimal() and id_.isascii() else []
        for literal in [Literal(id_), *numbers]:
            try:
                equal = Compare(Comparison.EQUAL, Column(column), literal)
                return self._matching(Predicate(equal), table)
            except PredicateError:
                continue
        import numpy as np

        return np.zeros(0, np.int64)
