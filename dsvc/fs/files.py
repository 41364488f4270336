"""The only writer: every operation that changes a disk goes through this module.

Failpoints hang here, short writes are completed here, and `OSError` becomes `StorageError` here. Paths are
`str` or, relative to a folder descriptor, `bytes` (a name in the working tree may be any bytes).
"""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Sequence
from typing import NoReturn

from dsvc.fs import recording
from dsvc.fs.failpoints import Action, hit, shown
from dsvc.fs.owner import own_mark
from dsvc.model.errors import StorageError

Path = str | bytes
Buffer = bytes | bytearray | memoryview

_HINTS = {
    errno.ENOSPC: "free some space, then run the same command again; nothing that was stored is lost",
    errno.EDQUOT: "your disk quota is used up; free some space, then run the same command again",
    errno.EMFILE: "raise the limit of open files (ulimit -n), then run the same command again",
    errno.EROFS: "the file system is mounted read-only",
    errno.EACCES: "check the owner and the permissions",
    errno.EPERM: "check the owner and the permissions",
    errno.EXDEV: "the two places are on different file systems: copy instead; .dsvc must lie on one",
    errno.EIO: "the disk reports an error; check it, then run dsvc fsck --read-data",
}
_IOV_MAX = 512
_STAYS = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EBUSY, errno.EINVAL}


def storage_error(error: OSError, doing: str, path: Path) -> StorageError:
    """Translate an `OSError` met while `doing` something to `path`."""
    number = error.errno or 0
    return StorageError(
        f"cannot {doing} {shown(path)}: {error.strerror or error}",
        hint=_HINTS.get(number),
        details={"errno": errno.errorcode.get(number, str(number)), "path": shown(path)},
    )


def is_full(error: StorageError) -> bool:
    """Whether it says that the disk or the quota is used up."""
    return error.details.get("errno") in ("ENOSPC", "EDQUOT")


def _fail(error: OSError, doing: str, path: Path) -> NoReturn:
    raise storage_error(error, doing, path) from error


def open_new(path: Path, *, dir_fd: int | None = None, mode: int = 0o666) -> int:
    """Create a file that must not exist and open it for reading and writing; returns the descriptor."""
    try:
        hit("open", path)
        fd = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=dir_fd
        )
    except OSError as error:
        _fail(error, "create", path)
    recording.of_file("open_new", fd, path, dir_fd)
    return fd


def open_unnamed(dir_fd: int, mode: int = 0o666) -> int:
    """Open a file without a name in the folder `dir_fd` (``O_TMPFILE``); a crash leaves nothing of it.

    Raises
    ------
    OSError
        As the system says (`errno.EOPNOTSUPP` or `errno.EISDIR` where the file system can't).
    """
    hit("open", b".")
    fd = os.open(b".", os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, mode, dir_fd=dir_fd)
    recording.of_file("open_unnamed", fd)
    return fd


def link_unnamed(fd: int, name: Path, *, dir_fd: int) -> None:
    """Give the unnamed file `fd` a name in `dir_fd`; raises `FileExistsError` where it's taken."""
    hit("link", name)
    os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=dir_fd, follow_symlinks=True)
    recording.of_file("link_unnamed", fd, name, dir_fd)


def write(fd: int, data: Buffer, path: Path = "file") -> None:
    """Write all of `data` at the descriptor's position, however often the system stops short."""
    writev(fd, [data], path)


def writev(fd: int, buffers: Sequence[Buffer], path: Path = "file") -> None:
    """Write all `buffers` in order at the descriptor's position."""
    _write_all(fd, buffers, path, None)


def _write_all(fd: int, buffers: Sequence[Buffer], path: Path, offset: int | None) -> None:
    try:
        pending = [memoryview(b).cast("B") for b in buffers if len(b)]
        while pending:
            action = hit("write", path)
            torn = action in (Action.SHORT_WRITE, Action.TORN_WRITE)
            now = [pending[0][: max(1, len(pending[0]) // 2)]] if torn else pending[:_IOV_MAX]
            done = os.writev(fd, now) if offset is None else os.pwritev(fd, now, offset)
            if recording.recorder is not None:
                recording.of_write(fd, now, offset, done)
            if action is Action.TORN_WRITE:  # pragma: no cover  what is measured ends with the process
                os.kill(os.getpid(), signal.SIGKILL)
            offset = None if offset is None else offset + done
            while done:
                if done >= len(pending[0]):
                    done -= len(pending.pop(0))
                else:
                    pending[0] = pending[0][done:]
                    done = 0
    except OSError as error:
        _fail(error, "write", path)


def pwrite(fd: int, data: Buffer, offset: int, path: Path = "file") -> None:
    """Write all of `data` at `offset`."""
    pwritev(fd, [data], offset, path)


def pwritev(fd: int, buffers: Sequence[Buffer], offset: int, path: Path = "file") -> None:
    """Write all `buffers` in order at `offset`."""
    _write_all(fd, buffers, path, offset)


def truncate(fd: int, size: int, path: Path = "file") -> None:
    """Set the length of an open file; growing makes a hole."""
    try:
        hit("truncate", path)
        os.ftruncate(fd, size)
    except OSError as error:
        _fail(error, "resize", path)
    recording.of_file("truncate", fd)


def set_mode(fd: int, mode: int, path: Path = "file") -> None:
    """Set the permission bits of an open file."""
    try:
        hit("chmod", path)
        os.fchmod(fd, mode)
    except OSError as error:
        _fail(error, "change the mode of", path)
    recording.of_file("set_mode", fd)


def sync(fd: int, path: Path = "file") -> None:
    """Flush an open file to the disk; an error means that what was written is lost."""
    try:
        hit("fsync", path)
        os.fsync(fd)
    except OSError as error:
        _fail(error, "flush", path)
    recording.of_file("sync", fd)


def sync_folder(path: str) -> None:
    """Flush a folder: names made, renamed or removed in it are durable afterwards."""
    try:
        hit("fsync_folder", path)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        _fail(error, "flush folder", path)
    recording.of_name("sync_folder", path)


def rename(
    source: Path, target: Path, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> None:
    """Rename atomically, replacing what stands at `target`."""
    try:
        hit("rename", target)
        os.rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
    except OSError as error:
        _fail(error, "rename to", target)
    recording.of_names("rename", source, target, src_dir_fd, dst_dir_fd)


def link(source: Path, target: Path, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
    """Give a file a second name; `FileExistsError` passes through untranslated, others don't."""
    try:
        hit("link", target)
        os.link(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        _fail(error, "link", target)
    recording.of_names("link", source, target, src_dir_fd, dst_dir_fd)


def unlink(path: Path, *, dir_fd: int | None = None, missing_ok: bool = False) -> None:
    """Remove a name."""
    try:
        hit("unlink", path)
        os.unlink(path, dir_fd=dir_fd)
        recording.of_name("unlink", path, dir_fd)
    except FileNotFoundError as error:
        if not missing_ok:
            _fail(error, "remove", path)
    except OSError as error:
        _fail(error, "remove", path)


def make_folder(path: Path, *, dir_fd: int | None = None, exist_ok: bool = True) -> bool:
    """Create one folder; returns whether it's new."""
    try:
        hit("mkdir", path)
        os.mkdir(path, dir_fd=dir_fd)
    except FileExistsError as error:
        if not exist_ok:
            _fail(error, "create folder", path)
        return False
    except OSError as error:
        _fail(error, "create folder", path)
    recording.of_name("make_folder", path, dir_fd)
    return True


def make_folders(path: str, *, durable: bool = True) -> None:
    """Create a folder with its parents, each new one flushed in its parent if `durable`."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent:
        make_folders(parent, durable=durable)
    if make_folder(path) and durable:
        sync_folder(parent or ".")


def remove_folder(path: Path, *, dir_fd: int | None = None) -> bool:
    """Remove a folder if it's empty; returns whether it went."""
    try:
        hit("rmdir", path)
        os.rmdir(path, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in _STAYS:
            return False
        _fail(error, "remove folder", path)
    recording.of_name("remove_folder", path, dir_fd)
    return True


def symlink(target: bytes, name: Path, *, dir_fd: int | None = None) -> None:
    """Create a symlink as stored; `FileExistsError` passes through untranslated."""
    try:
        hit("symlink", name)
        os.symlink(target, name, dir_fd=dir_fd)
    except FileExistsError:
        raise
    except OSError as error:
        _fail(error, "link", name)
    recording.of_symlink(target, name, dir_fd)


def temporary_name(prefix: str = "tmp") -> str:
    """Make a name that no other writer chooses."""
    return f"{prefix}-{own_mark()}{os.urandom(4).hex()}"


def fill(
    fd: int, name: str, data: Buffer | Sequence[Buffer], *, durable: bool, path: str | None = None
) -> None:
    """Write a file that was just made, flush it if `durable`, and close it; what fails leaves no file.

    Parameters
    ----------
    fd : int
        The open file.
    name : str
        Its name, by which it is removed after an error.
    data : bytes-like or list of such
        Its content.
    path : str or None
        Name for messages, where that is another one.

    Raises
    ------
    StorageError
        If the system refuses.
    """
    try:
        try:
            writev(fd, [data] if isinstance(data, Buffer) else data, path or name)
            if durable:
                sync(fd, path or name)
        finally:
            os.close(fd)
    except BaseException:
        discard(name)
        raise


def write_atomically(
    path: str, data: Buffer | Sequence[Buffer], *, durable: bool = True, temporary: str | None = None
) -> None:
    """Replace `path` by `data`: temporary file, fsync, rename, fsync of the folder.

    Parameters
    ----------
    path : str
        File to replace or make.
    data : bytes-like or list of such
        New content.
    durable : bool
        Whether both fsyncs are done; caches don't need them.
    temporary : str or None
        Folder of the temporary file, on the same file system; by default the file's own.
    """
    folder = os.path.dirname(path)
    name = os.path.join(temporary or folder, temporary_name())
    fill(open_new(name), name, data, durable=durable, path=path)
    try:
        rename(name, path)
    except BaseException:
        discard(name)
        raise
    if durable:
        sync_folder(folder)


def discard(path: Path, *, dir_fd: int | None = None) -> None:
    """Remove a temporary file if it's there; never fails, since it runs while an error is on its way."""
    try:
        os.unlink(path, dir_fd=dir_fd)
        recording.of_name("unlink", path, dir_fd)
    except OSError:
        return


def discard_own(folder: str) -> None:
    """Remove the temporary files of this process in a folder, by their names; never fails, as `discard`."""
    own = re.compile(rf"[A-Za-z]+-{own_mark()}[0-9a-f]{{8}}")
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in filter(own.fullmatch, names):
        discard(os.path.join(folder, name))


def append(path: str, data: Buffer, *, durable: bool = True) -> None:
    """Append `data` to a log file in one write, creating it if need be."""
    fd = open_log(path)
    try:
        write(fd, data, path)
        if durable:
            sync(fd, path)
    finally:
        os.close(fd)


def open_log(path: str) -> int:
    """Open a file to append to it, creating it if need be."""
    try:
        hit("open", path)
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        _fail(error, "open", path)
    recording.of_file("append", fd, path)
    return fd
