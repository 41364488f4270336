"""Arrow tables as files, in the format that the file's name promises."""

from __future__ import annotations

import io
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from dsvc.fs import files
from dsvc.model.paths import display_path
from dsvc.model.table_kind import Compression, TableFormat, TableKind, kind_by_name
from dsvc.table.exchange.arrow_text import write_csv, write_json
from dsvc.table.exchange.frames import FrameError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Write = Callable[[bytes], object]
_PARQUET_SUFFIXES: Final = (b".parquet", b".pq")
_GZIP: Final = 16 + zlib.MAX_WBITS
_GZIP_LEVEL: Final = 6
_GATHER_BYTES: Final = 1 << 20


def kind_to_write(path: bytes) -> TableKind:
    """Format that a file of this name is written in.

    Raises
    ------
    FrameError
        If the name says none.
    """
    if path.lower().endswith(_PARQUET_SUFFIXES):
        return TableKind(TableFormat.PARQUET)
    found = kind_by_name(path)
    if found is None:
        raise FrameError(
            f"the name {display_path(path)} says no format of a table",
            hint="name it .csv, .tsv, .jsonl, .json, .parquet or .arrow; text may have .gz or .zst behind it",
            details={"path": display_path(path)},
        )
    return found


def write_table(
    table: pa.Table,
    path: bytes,
    target: str,
    *,
    temporary: str,
    durable: bool,
    texts: Mapping[str, pa.Array] | None = None,
) -> None:
    """Write a table as a file, which replaces what stands there once it is whole.

    Parameters
    ----------
    path : bytes
        Its name in messages, which also says the format.
    target : str
        Where it shall be; folders above it are made.
    temporary : str
        Folder for the file while it is made; where that is on another file system, it is made in its place.
    texts : mapping of str to pyarrow.Array or None
        Of CSV: how cells of some columns are written, null where as any other.

    Raises
    ------
    FrameError
        If the name says no format, or the format has no such type.
    StorageError
        If it can't be written; what stood there stays.
    """
    kind = kind_to_write(path)
    _check_columns(table, path)
    folder = os.path.dirname(target)
    files.make_folders(folder, durable=durable)
    same = os.stat(temporary).st_dev == os.stat(folder or ".").st_dev
    made = os.path.join(temporary if same else folder, files.temporary_name(".dsvc-table"))
    fd = files.open_new(made)
    try:
        try:
            with _gathered(lambda data: files.write(fd, data, target)) as write:
                _fill(table, kind, write, path, texts)
            if durable:
                files.sync(fd, target)
        finally:
            os.close(fd)
        files.rename(made, target)
    except BaseException:
        files.discard(made)
        raise
    if durable:
        files.sync_folder(folder)


def _check_columns(table: pa.Table, path: bytes) -> None:
    name = display_path(path)
    if not table.num_columns:
        raise FrameError(f"the table for {name} has no columns", details={"path": name})
    twice = [each for each, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise FrameError(
            f"the table for {name} has two columns named {twice[0]!r}",
            hint="rename one, as joins do with a suffix",
            details={"path": name},
        )


def _fill(
    table: pa.Table, kind: TableKind, write: Write, path: bytes, texts: Mapping[str, pa.Array] | None
) -> None:
    try:
        if kind.format is TableFormat.PARQUET:
            import pyarrow.parquet as pq

            pq.write_table(table, _Sink(write), compression="zstd")
        elif kind.format is TableFormat.ARROW:
            with pa.ipc.new_file(_Sink(write), table.schema) as writer:
                writer.write_table(table)
        else:
            with _compressed(write, kind.compression) as text:
                if kind.format in (TableFormat.JSON, TableFormat.JSONL):
                    write_json(table, text, array=kind.format is TableFormat.JSON)
                else:
                    write_csv(table, text, "\t" if kind.format is TableFormat.TSV else ",", texts)
    except (pa.ArrowException, UnicodeError) as error:
        raise FrameError(
            f"the table can't be written as {display_path(path)}: {error}",
            details={"path": display_path(path)},
        ) from error


@contextmanager
def _gathered(write: Write) -> Iterator[Write]:
    """Hand small pieces on together."""
    pieces: list[bytes] = []
    size = 0

    def gather(data: bytes) -> None:
        nonlocal size
        pieces.append(data)
        size += len(data)
        if size >= _GATHER_BYTES:
            write(b"".join(pieces))
            pieces.clear()
            size = 0

    yield gather
    if pieces:
        write(b"".join(pieces))


@contextmanager
def _compressed(write: Write, compression: Compression) -> Iterator[Write]:
    """Compress what is written, in the same way each time: no time of writing is kept."""
    if compression is Compression.NONE:
        yield write
        return
    if compression is Compression.GZIP:
        packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
        yield lambda data: write(packer.compress(data))
        write(packer.flush())
        return
    import zstandard

    squeezer = zstandard.ZstdCompressor().compressobj()
    yield lambda data: write(squeezer.compress(data))
    write(squeezer.flush())


class _Sink(io.RawIOBase):
    """What Arrow writes to."""

    def __init__(self, write: Write) -> None:
        super().__init__()
        self._write = write
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: ReadableBuffer, /) -> int:
        piece = bytes(data)
        self._write(piece)
        self._position += len(piece)
        return len(piece)


__all__ = ["kind_to_write", "write_table"]
