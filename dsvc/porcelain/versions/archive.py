"""archive: one version as a tar or zip file; equal versions give equal bytes."""

from __future__ import annotations

import json
import os
import stat as stat_module
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import IO, Final, NamedTuple, Protocol, cast

from dsvc.fs import files
from dsvc.model.errors import MalformedInputError, UsageError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import MODE_DIRECTORY, MODE_EXECUTABLE, MODE_SYMLINK, Entry, Kind
from dsvc.model.paths import display_path
from dsvc.porcelain.state.output_file import Output, write_output
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import Manifest
from dsvc.store.materialize import content_parts, read_content

GZIP_LEVEL: Final = 6
ZSTD_LEVEL: Final = 3
_ZEROS: Final = bytes(1 << 20)
_UINT32_MAX: Final = 0xFFFFFFFF
_ZIP_FIRST: Final = int(datetime(1980, 1, 1, tzinfo=UTC).timestamp())
_ZIP_LAST: Final = int(datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC).timestamp())


class Sink(Protocol):
    """What an archive is written to."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Take all of `data`."""


class Member(NamedTuple):
    """One path of an archive, without a slash at the end; `entry` is None for a folder."""

    path: bytes
    entry: Entry | None


Writer = Callable[[ChunkStore, Iterator[Member], Output, int], None]


def archive(repo: Workspace, rev: str, output: str, *, internal: bool = False) -> int:
    """Write a version into a file, replacing one that stands there once the new one is whole.

    The kind follows from the name: ``.tar``, ``.tar.gz`` or ``.tgz``, ``.tar.zst`` or ``.tzst``, ``.zip``.
    Paths come in the manifest's order with the commit's time, owner 0 and the modes 644, 755 or 777, so
    that a commit always gives the same bytes (compressed: with the same versions of the libraries). Memory
    doesn't grow with the sizes of files; of a zip the list of names is held until it is written.

    Parameters
    ----------
    rev : str
        A commit.
    output : str
        The file to write.
    internal : bool
        That it stays in one's own house: licences aren't asked whether it may be given to others, and
        ``.dsvc/audit.jsonl`` says so.

    Returns
    -------
    int
        Number of files, symlinks and empty folders.

    Raises
    ------
    UsageError
        If the name says no known kind, or is a folder's, or a zip can't hold a path that is not UTF-8.
    NotFoundError
        If there is no such revision.
    MayNotBeSharedError, SharingUndeterminedError
        If a policy is in force, and a licence does not permit to give it to others.
    StorageError
        If the file can't be written.
    MissingDataError, ErasedError, CorruptDataError, MalformedInputError
        If content can't be had; what stood at `output` stays.
    """
    write = _writer_for(output)
    id_ = repo.history.revisions.resolve(rev)
    commit = repo.history.read_commit(id_)
    _check_sharing(repo, id_, output, internal=internal)
    manifest = repo.manifest(commit.manifest)

    def fill(stream: Output) -> None:
        write(repo.store, _members(manifest), stream, commit.committer.seconds)

    write_output(repo, output, fill)
    return manifest.totals()[0]


def _check_sharing(repo: Workspace, commit: CommitId, output: str, *, internal: bool) -> None:
    from dsvc.porcelain.policy.licences import check_export

    seconds = int(time.time())
    if not internal:
        check_export(repo, commit, datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d"))
        return
    name = display_path(os.fsencode(os.path.basename(output)))
    event = {"event": "archive-internal", "time": seconds, "commit": str(commit), "file": name}
    files.append(repo.layout.audit, json.dumps(event).encode() + b"\n")


def _writer_for(output: str) -> Writer:
    name = os.path.basename(output).lower()
    for ending, writer in _WRITERS.items():
        if name.endswith(ending):
            return writer
    raise UsageError(
        f"{os.path.basename(output)!r} says no kind of archive",
        hint=f"end it with one of {' '.join(_WRITERS)}",
    )


def _members(manifest: Manifest) -> Iterator[Member]:
    """Entries in order, each folder before what is in it."""
    above: list[bytes] = []
    leaves: list[bytes] = []
    for entry in manifest.entries():
        _check_above(leaves, entry)
        *folder, _ = entry.path.split(b"/")
        if folder != above:
            # What is in a folder stands together: only those of the path before are known already.
            shared = 0
            while shared < min(len(folder), len(above)) and folder[shared] == above[shared]:
                shared += 1
            for end in range(shared + 1, len(folder) + 1):
                yield Member(b"/".join(folder[:end]), None)
            above = folder
        yield Member(entry.path, None if entry.mode == MODE_DIRECTORY else entry)


def _check_above(leaves: list[bytes], entry: Entry) -> None:
    """Refuse a path below a file or symlink: unpacked, it would be written through the link.

    `leaves` are the files and symlinks so far whose path the next paths in order may begin with.
    """
    while leaves and not entry.path.startswith(leaves[-1]):
        leaves.pop()
    for leaf in leaves:
        if entry.path[len(leaf) : len(leaf) + 1] == b"/":
            raise MalformedInputError(
                f"the manifest has {display_path(leaf)} both as a file and as a folder",
                details={"path": display_path(leaf)},
            )
    if entry.mode != MODE_DIRECTORY:
        leaves.append(entry.path)


def _permissions(entry: Entry | None) -> int:
    if entry is None or entry.mode == MODE_EXECUTABLE:
        return 0o755
    return 0o777 if entry.mode == MODE_SYMLINK else 0o644


def _name(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _copy(store: ChunkStore, entry: Entry, sink: Sink) -> None:
    for part in content_parts(store, entry):
        if not isinstance(part, int):
            sink.write(part)
        elif isinstance(sink, Output):
            sink.seek(sink.tell() + part)
        else:
            for start in range(0, part, len(_ZEROS)):
                sink.write(_ZEROS[: part - start])


def _tar(store: ChunkStore, members: Iterator[Member], sink: Sink, seconds: int) -> None:
    """Write a tar in the pax format; `TarFile` would keep every header in memory."""
    total = 0
    for path, entry in members:
        info = tarfile.TarInfo(_name(path))
        info.mtime, info.mode, info.type = seconds, _permissions(entry), tarfile.DIRTYPE
        if entry is not None and entry.mode == MODE_SYMLINK:
            info.type, info.linkname = tarfile.SYMTYPE, _name(read_content(store, entry))
        elif entry is not None:
            info.type, info.size = tarfile.REGTYPE, entry.size
        total += sink.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        if entry is not None and info.size:
            _copy(store, entry, sink)
            padding = -info.size % tarfile.BLOCKSIZE
            sink.write(_ZEROS[:padding])
            total += info.size + padding
    end = 2 * tarfile.BLOCKSIZE
    sink.write(_ZEROS[: end + -(total + end) % tarfile.RECORDSIZE])


def _tar_gz(store: ChunkStore, members: Iterator[Member], output: Output, seconds: int) -> None:
    import gzip

    with gzip.GzipFile("", "wb", GZIP_LEVEL, output, min(seconds, _UINT32_MAX)) as sink:
        _tar(store, members, sink, seconds)


def _tar_zst(store: ChunkStore, members: Iterator[Member], output: Output, seconds: int) -> None:
    import zstandard

    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True)
    with compressor.stream_writer(cast(IO[bytes], output), closefd=False) as sink:
        _tar(store, members, sink, seconds)


def _zip_name(path: bytes) -> str:
    """Name of a member: a zip holds UTF-8, and what programs make of other bytes is not what went in."""
    try:
        return path.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{display_path(path)} is not UTF-8, which a zip can't hold",
            hint="a tar holds names of any bytes: .tar.gz",
            details={"path": display_path(path)},
        ) from error


def _zip(store: ChunkStore, members: Iterator[Member], output: Output, seconds: int) -> None:
    moment = datetime.fromtimestamp(min(max(seconds, _ZIP_FIRST), _ZIP_LAST), UTC)
    date = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    with zipfile.ZipFile(cast(IO[bytes], output), "w") as archived:
        for path, entry in members:
            info = zipfile.ZipInfo(_zip_name(path) + ("/" if entry is None else ""), date)
            info.create_system = 3
            kind = stat_module.S_IFDIR if entry is None else stat_module.S_IFREG
            if entry is not None and entry.mode == MODE_SYMLINK:
                kind = stat_module.S_IFLNK
            info.external_attr = (kind | _permissions(entry)) << 16 | (0x10 if entry is None else 0)
            if entry is not None:
                info.file_size = entry.size
                if entry.size and entry.kind != Kind.IMAGE:
                    info.compress_type = zipfile.ZIP_DEFLATED
            with archived.open(info, "w") as sink:
                if entry is not None:
                    _copy(store, entry, sink)


_WRITERS: Final[dict[str, Writer]] = {
    ".tar": _tar,
    ".tar.gz": _tar_gz,
    ".tgz": _tar_gz,
    ".tar.zst": _tar_zst,
    ".tzst": _tar_zst,
    ".zip": _zip,
}
