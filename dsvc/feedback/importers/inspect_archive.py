"""Members of `.eval` archives: ZIP with Zstandard, which `zipfile` of Python up to 3.13 does not unpack.

`zipfile` reads the directory; members are found and unpacked here, each within limits that hold whatever the
archive claims: a member, all of them together, and how many there are.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import BinaryIO, Final

from dsvc.feedback.importers.importer import (
    MAX_DOCUMENT_BYTES,
    FeedbackMalformedError,
    excerpt,
    malformed,
)

MAX_MEMBERS: Final = 2_000_000
MAX_UNPACKED_BYTES: Final = 64 << 30
"""All members together."""
_MAX_DIRECTORY_BYTES: Final = 256 << 20
_STORED: Final = 0
_DEFLATED: Final = 8
_ZSTANDARD: Final = 93
_ENCRYPTED: Final = 1
_WINDOW: Final = 128 << 20
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_SIGNATURE: Final = b"PK\x03\x04"


class _Directory:
    """A stream as `zipfile` reads it: never more at once than the directory of an archive takes up."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.tell = stream.tell

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET and offset < 0:
            raise malformed("", "an archive whose directory is before its beginning")
        return self._stream.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        found = self._stream.read(
            min(size, _MAX_DIRECTORY_BYTES + 1) if size >= 0 else _MAX_DIRECTORY_BYTES + 1
        )
        if len(found) > _MAX_DIRECTORY_BYTES:
            raise malformed("", f"a directory of more than {_MAX_DIRECTORY_BYTES >> 20} MiB")
        return found


class Archive:
    """An archive that is open.

    Parameters
    ----------
    stream : BinaryIO
        Can be sought in.

    Raises
    ------
    FeedbackMalformedError
        If it is no archive, claims more than is read, or has a member twice.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        size = stream.seek(0, io.SEEK_END)
        try:
            with zipfile.ZipFile(_Directory(stream)) as directory:
                found = directory.infolist()
        except FeedbackMalformedError:
            raise
        except (
            zipfile.BadZipFile,
            struct.error,
            ValueError,
            NotImplementedError,
            EOFError,
            IndexError,
        ) as error:
            raise malformed("", f"not an archive that can be read ({excerpt(str(error))})") from error
        self.members: dict[str, zipfile.ZipInfo] = {}
        for each in found:
            if each.filename in self.members:
                raise malformed("", "a member that stands twice in the archive", each.filename)
            self.members[each.filename] = each
        self._check(size)

    def _check(self, size: int) -> None:
        """Refuse what together is larger than is read; members that share bytes are one way to claim it."""
        if len(self.members) > MAX_MEMBERS:
            raise malformed("", f"more than {MAX_MEMBERS} members")
        if sum(each.file_size for each in self.members.values()) > MAX_UNPACKED_BYTES:
            raise malformed("", f"more than {MAX_UNPACKED_BYTES >> 30} GiB when unpacked")
        if sum(each.compress_size for each in self.members.values()) > size:
            raise malformed("", "members that overlap")

    def read(self, name: str) -> bytes:
        """Unpack a member.

        Raises
        ------
        FeedbackMalformedError
            If it is damaged, encrypted, packed in another way, or larger than it claims or than is read.
        """
        member = self.members[name]
        if member.file_size > MAX_DOCUMENT_BYTES or member.compress_size > MAX_DOCUMENT_BYTES:
            raise malformed(name, f"larger than {MAX_DOCUMENT_BYTES >> 20} MiB, which is not read")
        if member.flag_bits & _ENCRYPTED:
            raise malformed(name, "encrypted")
        data = _unpack(name, member.compress_type, self._packed(member), member.file_size)
        if len(data) != member.file_size:
            raise malformed(name, "not of the length that the archive says")
        if zlib.crc32(data) != member.CRC:
            raise malformed(name, "damaged: its checksum is not that of the archive")
        return data

    def _packed(self, member: zipfile.ZipInfo) -> bytes:
        header = b""
        if member.header_offset >= 0:  # zipfile takes the offset from a start that the archive claims
            self._stream.seek(member.header_offset)
            header = self._stream.read(_LOCAL.size)
        if len(header) != _LOCAL.size or not header.startswith(_SIGNATURE):
            raise malformed(member.filename, "not where the directory of the archive says")
        *_, name_length, extra_length = _LOCAL.unpack(header)
        self._stream.seek(name_length + extra_length, io.SEEK_CUR)
        packed = self._stream.read(member.compress_size)
        if len(packed) != member.compress_size:
            raise malformed(member.filename, "cut off")
        return packed


def _unpack(name: str, method: int, packed: bytes, size: int) -> bytes:
    """Unpack at most one byte more than the archive claims, which is enough to see that it lies."""
    if method == _STORED:
        return packed
    if method == _DEFLATED:
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)
        except zlib.error as error:
            raise malformed(name, "damaged: it can't be unpacked") from error
    if method != _ZSTANDARD:
        raise malformed(name, f"packed by method {method}, which is not read")
    import zstandard

    unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    parts: list[bytes] = []
    left = size + 1
    try:
        with unpacker.stream_reader(packed, read_across_frames=True) as reader:
            while left and (part := reader.read(min(left, 1 << 20))):
                parts.append(part)
                left -= len(part)
    except zstandard.ZstdError as error:
        raise malformed(name, "damaged: it can't be unpacked") from error
    return b"".join(parts)
