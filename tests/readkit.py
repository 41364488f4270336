"""A system that reads short, reports errors, or lets somebody else come between two readings."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def reading(
    of: str,
    *,
    at_most: int | None = None,
    error: int | None = None,
    before: Callable[[int], None] | None = None,
    bad: range = range(0),
) -> Iterator[list[str]]:
    """Have what `os` reads from some files treated like this for the length of a block.

    Parameters
    ----------
    of : str
        Part of the names of the files.
    at_most : int or None
        Bytes that one call gives at most.
    error : int or None
        What each call fails with.
    before : callable or None
        Called before each reading, with its number from 1.
    bad : range
        Bytes that the disk doesn't give back; only for readings at an offset.

    Yields
    ------
    list of str
        Names of the calls so far.
    """
    seen: list[str] = []
    was = {name: getattr(os, name) for name in ("read", "pread", "preadv")}

    def concerns(fd: int) -> bool:
        return of in os.readlink(f"/proc/self/fd/{fd}")

    def wrapped(name: str) -> Callable[..., Any]:
        def call(fd: int, what: Any, *rest: Any) -> Any:
            if not concerns(fd):
                return was[name](fd, what, *rest)
            seen.append(name)
            if before is not None:
                before(len(seen))
            if error is not None:
                raise OSError(error, os.strerror(error))
            length = len(what[0]) if name == "preadv" else what
            if bad and rest and rest[0] < bad.stop and rest[0] + length > bad.start:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            if at_most is not None:
                what = [what[0][:at_most]] if name == "preadv" else min(what, at_most)
            return was[name](fd, what, *rest)

        return call

    for name in was:
        setattr(os, name, wrapped(name))
    try:
        yield seen
    finally:
        for name, function in was.items():
            setattr(os, name, function)
