"""What a script under ``dsvc run`` says of its rows: tables read with row ids and written without them.

::

    from os import environ

    with RunFolder.of(environ) as run:
        table = run.read("raw.csv", as_="pandas")
        run.write("clean.csv", table[table.n > 0])

In Python `runs.transform` does the same and records the run itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from dsvc.fs import files
from dsvc.lineage.carried_tables import CarriedTables, LostRowIdsWarning
from dsvc.lineage.declared_maps import DROPS, ROW_MAP, DeclaredMaps
from dsvc.model.errors import UsageError
from dsvc.model.paths import display_path
from dsvc.table.exchange.table_file import write_table

if TYPE_CHECKING:
    from dsvc.table.reading.arrow_reader import ArrowTable


class RunFolder(CarriedTables):
    """The folder in which a command under ``dsvc run`` says what became of its rows.

    Use it as a context manager: at the end it writes ``rowmap.parquet`` and ``drops.jsonl``, unless an error
    ends it.

    Parameters
    ----------
    folder : str
        What ``DSVC_RUN_DIR`` says.
    root : str or None
        The working tree, which ``DSVC_ROOT`` says; None where the command runs there.
    """

    _keeps_inputs = False

    def __init__(self, folder: str, root: str | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._tree = root or os.curdir

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> RunFolder:
        """Find it in the environment of the process, as a script has it in ``environ`` of the module ``os``.

        Raises
        ------
        UsageError
            If this is not under ``dsvc run``.
        """
        folder = environ.get("DSVC_RUN_DIR")
        if folder is None:
            raise UsageError("there is no DSVC_RUN_DIR", hint="run the script by: dsvc run … -- python …")
        return cls(folder, environ.get("DSVC_ROOT"))

    @property
    def _root(self) -> str:
        return self._tree

    def _open(self, path: bytes) -> tuple[ArrowTable, bool]:
        from dsvc.table.origin.file_source import file_table
        from dsvc.table.reading.arrow_reader import open_arrow

        if path in self._rows:
            raise UsageError(
                f"{display_path(path)} was written already", hint="read it before it is written in its place"
            )
        source, kind = file_table(path, self._place(path))
        return open_arrow(source, kind, skip_malformed=True), True

    def _place(self, path: bytes) -> str:
        return os.path.join(self._tree, os.fsdecode(path))

    @property
    def _temporary(self) -> str:
        return self._folder

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is known, unless an error ends it."""
        if kind is None:
            self.close()

    def close(self) -> None:
        """Write what is known of the rows; ``dsvc run`` reads it when the command has ended.

        Raises
        ------
        StorageError
            If it can't be written.
        """
        found = self.declared()
        if found is None:
            return
        for path in (*(path for pair in found.links for path in pair), *found.drops):
            if "\ufffd" in path.decode(errors="replace"):
                raise UsageError(f"{display_path(path)} is not UTF-8, so that row maps can't name it")
        if found.links:
            target = os.path.join(self._folder, ROW_MAP)
            write_table(_row_map(found), os.fsencode(ROW_MAP), target, temporary=self._folder, durable=False)
        if found.drops:
            lines = "".join(f"{json.dumps(line)}\n" for line in _drop_lines(found))
            files.write_atomically(os.path.join(self._folder, DROPS), lines.encode(), durable=False)


def _row_map(found: DeclaredMaps) -> pa.Table:
    parts = [
        pa.table(
            {
                "output": _repeated(output, links.size),
                "output_row": links.outputs,
                "input": _repeated(path, links.size),
                "input_row": links.inputs,
            }
        )
        for (output, path), links in found.links.items()
    ]
    return pa.concat_tables(parts)


def _repeated(path: bytes, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(os.fsdecode(path), pa.string()), count)


def _drop_lines(found: DeclaredMaps) -> list[dict[str, object]]:
    lines = []
    for path, drops in found.drops.items():
        for row, code, survivor in zip(
            drops.rows.tolist(), drops.reason_of.tolist(), drops.survivors.tolist(), strict=True
        ):
            line: dict[str, object] = {"input": os.fsdecode(path), "row": row, "reason": drops.reasons[code]}
            lines.append(line | ({"survivor": survivor} if survivor >= 0 else {}))
    return lines


__all__ = ["LostRowIdsWarning", "RunFolder"]
