"""source list --by: the sources in groups by a field of their record, with what each group attests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from dsvc.lineage.grades import Grade
from dsvc.lineage.rights import Rights
from dsvc.lineage.source_fields import UNDETERMINED
from dsvc.lineage.source_tree import SourceTree, covered_rows
from dsvc.lineage.source_values import SourceFieldError, field_values, find_field
from dsvc.model.source_record import SourceRecord
from dsvc.porcelain.records.source_chain import head, source_ids
from dsvc.porcelain.state.workspace import Workspace

STATUS: Final = "status"
_UNSAID: Final[Mapping[str, str]] = {
    "grade": Grade.GENERAL.value,
    "rights_status": Rights.UNDETERMINED.value,
    "ongoing": "no",
}
"""What a source counts as where it doesn't say."""


class SourceGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Sources with one value in a field.

    Attributes
    ----------
    by : str
        The field.
    value : str or None
        None: of those that don't say.
    sources : int
        How many.
    files, rows, bytes : int
        What they attest together; rows of tables. A file that two of them attest counts twice.
    """

    by: str
    value: str | None
    sources: int
    files: int
    rows: int
    bytes: int


def groups(repo: Workspace, by: str) -> list[SourceGroup]:
    """Group the sources there are now, in the order of values; those that don't say come last.

    Parameters
    ----------
    by : str
        ``status``, a field of the record, or ``FIELD.PART``. Of a list, a source counts for each item.

    Raises
    ------
    SourceFieldError
        If there is no such field, or it has parts.
    MissingDataError, CorruptDataError, MalformedInputError
        If a source can't be read.
    """
    _check(by)
    found: dict[str | None, SourceGroup] = {}
    for source_id in source_ids(repo):
        tree = head(repo, source_id).tree
        files, size = tree.files.totals()
        rows = _rows(tree)
        for value in _values(tree.record, by):
            before = found.get(value) or SourceGroup(by=by, value=value, sources=0, files=0, rows=0, bytes=0)
            found[value] = SourceGroup(
                by=by,
                value=value,
                sources=before.sources + 1,
                files=before.files + files,
                rows=before.rows + rows,
                bytes=before.bytes + size,
            )
    return sorted(found.values(), key=lambda group: (group.value is None, group.value or ""))


def _check(by: str) -> None:
    if by == STATUS:
        return
    field = find_field(by)
    if field.parts and "." not in by:
        raise SourceFieldError(
            f"{by} has parts: {', '.join(field.parts)}",
            hint=f"group by one: {by}.{next(iter(field.parts))}",
            details={"field": by},
        )


def _values(record: SourceRecord, by: str) -> list[str | None]:
    """Values of a field of one source, each once; None where it doesn't say."""
    if by == STATUS:
        return [record.status.value]
    outer, _, part = by.partition(".")
    if outer in record.undetermined:
        return [UNDETERMINED]
    value: object = field_values(record).get(outer)
    if part:
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, list):
        return list(dict.fromkeys(map(str, value))) or [None]
    return [_UNSAID.get(by) if value is None else str(value)]


def _rows(tree: SourceTree) -> int:
    """Rows of attested tables that the source speaks of."""
    sets = tree.row_entries()
    total = 0
    for entry in tree.files.entries():
        chosen = covered_rows(tree, entry.path) if entry.path in sets else None
        total += (entry.rows or 0) if chosen is None else len(chosen)
    return total
