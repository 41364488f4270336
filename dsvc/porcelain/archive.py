"""archive: one version as a tar or zip file; equal versions give equal bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import IO, Final, NamedTuple, cast

from dsvc.fs import files
from dsvc.model.errors import UsageError
from dsvc.model.manifest import MODE_DIRECTORY, MODE_EXECUTABLE, MODE_SYMLINK, Entry
from dsvc.porcelain.archive_output import ArchiveOutput
from dsvc.porcelain.read import StoredFile
from dsvc.porcelain.workspace import Workspace
from dsvc.store.manifest_tree import Manifest
from dsvc.store.materialize import read_content

COPY_BYTES: Final = 1 << 20
GZIP_LEVEL: Final = 6
ZSTD_LEVEL: Final = 3


class Member(NamedTuple):
    """One path of an archive, without a slash at the end; `entry` is None for a folder."""

    path: bytes
    entry: Entry | None


Writer = Callable[[Workspace, Iterator[Member], ArchiveOutput, int], None]


def archive(repo: Workspace, rev: str, output: str) -> int:
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

    Returns
    -------
    int
        Number of files, symlinks and empty folders.

    Raises
    ------
    UsageError
        If the name says no known kind, or is a folder's.
    NotFoundError
        If there is no such revision.
    StorageError
        If the file can't be written.
    MissingDataError, ErasedError, CorruptDataError, MalformedInputError
        If content can't be had; what stood at `output` stays.
    """
    write = _writer_for(output)
    if os.path.isdir(output):
        raise UsageError(f"{output} is a folder", hint="name a file")
    commit = repo.history.read_commit(repo.history.revisions.resolve(rev))
    manifest = repo.manifest(commit.manifest)
    target = os.path.realpath(output)
    # A dot in front, so that an archive of the working tree's own folder isn't seen half made.
    temporary = os.path.join(os.path.dirname(target), files.temporary_name(".dsvc-archive"))
    fd = files.open_new(temporary)
    try:
        try:
            with ArchiveOutput(fd, output) as stream:
                write(repo, _members(manifest), stream, commit.committer.seconds)
            if repo.durability == "full":
                files.sync(fd, output)
        finally:
            os.close(fd)
        files.rename(temporary, target)
    except BaseException:
        files.discard(temporary)
        raise
    if repo.durability == "full":
        files.sync_folder(os.path.dirname(target))
    return manifest.totals()[0]


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
    above = b""
    for entry in manifest.entries():
        folder = entry.path.rpartition(b"/")[0]
        if folder and folder != above:
            # Everything in a folder stands together, so the folder at hand is enough to know the new ones.
            names, known = folder.split(b"/"), above.split(b"/") if above else []
            shared = len(os.path.commonprefix([names, known]))
            for end in range(shared + 1, len(names) + 1):
                yield Member(b"/".join(names[:end]), None)
        above = folder
        yield Member(entry.path, None if entry.mode == MODE_DIRECTORY else entry)


def _tar(repo: Workspace, members: Iterator[Member], stream: IO[bytes], seconds: int) -> None:
    import tarfile

    with tarfile.open(
        fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        tar.copybufsize = COPY_BYTES
        for path, entry in members:
            info = tarfile.TarInfo(os.fsdecode(path))
            info.mtime, info.mode, info.type = seconds, 0o755, tarfile.DIRTYPE
            content: IO[bytes] | None = None
            if entry is not None and entry.mode == MODE_SYMLINK:
                info.type, info.mode = tarfile.SYMTYPE, 0o777
                info.linkname = os.fsdecode(read_content(repo.store, entry))
            elif entry is not None:
                info.type, info.size = tarfile.REGTYPE, entry.size
                info.mode = 0o755 if entry.mode == MODE_EXECUTABLE else 0o644
                content = cast(IO[bytes], StoredFile(repo.store, entry))
            tar.addfile(info, content)
