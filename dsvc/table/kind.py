"""What is a table: told from a file's name and its first bytes.

The rule itself stands in `dsvc.model.table_kind`, where the store sees it too.
"""

from __future__ import annotations

from dsvc.model.table_kind import HEAD_BYTES, Compression, TableFormat, TableKind, recognise

__all__ = ["HEAD_BYTES", "Compression", "TableFormat", "TableKind", "recognise"]
