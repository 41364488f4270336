"""The text of a table, whatever is around it: gzip and zstandard are taken off within bounds."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import BinaryIO, Final, cast

import zstandard

from dsvc.model.table_kind import Compression, TableKind
from dsvc.table.origin.source import NotATableError, TableLimitError, TableSource

MAX_RATIO: Final = 200
"""How many times its size a compressed file may have."""
_STEP_BYTES: Final = 4096
"""What is given to zstandard at a time: it becomes 128 MiB at most."""
FREE_BYTES: Final = 256 << 20
"""Text that is read however small the file is."""


class ZstdFrames:
    """Frames of zstandard; the library's own stream takes one that is cut off for a whole one.

    Parameters
    ----------
    stream : BinaryIO
        The frames.
    step : int
        How many bytes of them are decompressed at a time: a kilobyte becomes 32 MiB at most.
    """

    def __init__(self, stream: BinaryIO, step: int = _STEP_BYTES) -> None:
        self._stream = stream
        self._step = step
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._packed = b""
        self._text = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Read at most `size` bytes.

        Raises
        ------
        EOFError
            If the last frame isn't complete.
        """
        while not self._text:
            self._packed = self._packed or self._stream.read(self._step)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("it ends in the middle")
                return b""
            self._frame = self._frame or self._decompressor.decompressobj()
            self._text = memoryview(self._frame.decompress(self._packed))
            self._packed = b""
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        part, self._text = self._text[:size], self._text[size:]
        return bytes(part)

    def close(self) -> None:
        """Let what is at hand go."""
        self._text = memoryview(b"")


class _Bounded(io.RawIOBase):
    """Decompressed bytes, up to a limit, with the codec's errors translated."""

    def __init__(self, stream: gzip.GzipFile | ZstdFrames, outer: BinaryIO, source: TableSource) -> None:
        super().__init__()
        self._stream = stream
        self._outer = outer
        self._name = source.name
        self._limit = max(FREE_BYTES, MAX_RATIO * source.size)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move forwards only."""
        if whence != io.SEEK_SET or offset < self._position:
            raise io.UnsupportedOperation("a compressed table is read forwards")
        while self._position < offset and self.read(min(1 << 20, offset - self._position)):
            pass
        return self._position

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        try:
            data = self._stream.read(len(view))
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise NotATableError(
                f"{self._name} can't be decompressed: {error}", details={"path": self._name}
            ) from error
        view[: len(data)] = data
        self._position += len(data)
        if self._position > self._limit:
            raise TableLimitError(
                f"{self._name} decompresses to more than {MAX_RATIO} times its size",
                details={"path": self._name},
            )
        return len(data)

    def close(self) -> None:
        self._stream.close()
        self._outer.close()
        super().close()


def open_text(source: TableSource, kind: TableKind) -> BinaryIO:
    """Open a table in text, decompressed; compressed ones can only be read forwards.

    Raises
    ------
    NotATableError
        While reading: if it can't be decompressed.
    TableLimitError
        While reading: if it's more than `MAX_RATIO` times as long as the file, beyond `FREE_BYTES`.
    """
    stream = source.open()
    if kind.compression is Compression.NONE:
        return stream
    inner: gzip.GzipFile | ZstdFrames
    if kind.compression is Compression.GZIP:
        inner = gzip.GzipFile(fileobj=stream, mode="rb")
    else:
        inner = ZstdFrames(stream)
    return cast(BinaryIO, io.BufferedReader(_Bounded(inner, stream, source), 1 << 20))
