"""By which columns the rows of a run's artifacts are known: what was asked for, else ``dsvc.toml``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from dsvc.model.errors import UsageError
from dsvc.model.paths import display_path
from dsvc.porcelain.tables.table_rules import table_rules

if TYPE_CHECKING:
    from dsvc.model.run_record import Run
    from dsvc.porcelain.state.workspace import Workspace

Keys = Mapping[bytes | None, tuple[str, ...]]
"""Key columns of an artifact by its path; those at None hold for every artifact that has them."""


def keys_of(
    repo: Workspace,
    asked: Keys,
    columns: Sequence[tuple[bytes, Collection[str] | None]],
    renamed: Collection[str] = (),
) -> list[tuple[str, ...]]:
    """Find the key of each artifact; empty where none is known.

    Parameters
    ----------
    columns : sequence of (bytes, collection of str or None)
        Path and columns of each artifact; None of what is no table.
    renamed : collection of str
        Key columns that have another name in some artifact.

    Raises
    ------
    UsageError
        If a key was asked for that no artifact has.
    TableRulesError
        If ``dsvc.toml`` can't be read.
    """
    rules = table_rules(repo) if any(found is not None for _, found in columns) else None
    everywhere = asked.get(None, ())
    used = not everywhere
    result: list[tuple[str, ...]] = []
    for path, found in columns:
        key = asked.get(path, ())
        if found is None:
            if key:
                raise _unknown(f"{display_path(path)} is no table, so it has no key")
            result.append(())
            continue
        missing = [name for name in key if name not in found]
        if missing:
            raise _unknown(
                f"{display_path(path)} has no column {missing[0]!r}; its columns are {_listed(found)}"
            )
        if not key and everywhere and all(name in found for name in everywhere):
            key, used = everywhere, True
        if not key and rules is not None:
            key = rules.for_path(path).key
            key = key if all(name in found for name in key) else ()
        result.append(key)
    strange = [path for path in asked if path is not None and path not in {each for each, _ in columns}]
    if strange:
        raise _unknown(f"{display_path(strange[0])} has a key, but is neither an input nor an output table")
    if not used and not set(everywhere) & set(renamed):
        tables = [found for _, found in columns if found is not None]
        names = _listed(sorted({name for found in tables for name in found}))
        raise _unknown(f"no table here has the key {', '.join(everywhere)}; columns are {names}")
    return result


def _unknown(message: str) -> UsageError:
    return UsageError(message, hint="--key takes [PATH:]COLUMN[,COLUMN]")


def _listed(names: Collection[str]) -> str:
    shown = list(names)[:20]
    return ", ".join(shown) + (", …" if len(names) > len(shown) else "") if shown else "none"


def suggested_key(repo: Workspace, run: Run) -> str | None:
    """Find a column by which rows could be followed: in all tables of a run, complete, and unique in one.

    Only tables whose row index is in the cache are looked at, which those of a run just recorded are.
    """
    from dsvc.porcelain.tables.row_indexes import RowIndexes
    from dsvc.table.index.row_index import is_called_id

    indexes = RowIndexes(repo)
    tables = [each for each in (*run.inputs, *run.outputs) if not each.folder and each.records]
    found = [index for each in tables if (index := indexes.cached(each.digest)) is not None]
    if len(found) < 2 or len(found) != len(tables):
        return None
    names = [
        column.name
        for column in found[0].columns
        if all((other := index.column(column.name)) and other.complete and other.unique for index in found)
    ]
    return min(names, key=lambda name: not is_called_id(name), default=None)
