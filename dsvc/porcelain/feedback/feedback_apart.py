"""Result files that another user made are read in a child first, from end to end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from functools import partial
from typing import Final

from dsvc.feedback.importers.importer import Importer, ImportOptions, OpenFile, malformed
from dsvc.fs.child_process import Bounds, Child, Ended, Failed, can_fork, can_start
from dsvc.model.errors import DsvcError, MalformedInputError, StorageError, UsageError

MEMORY_BYTES: Final = 4 << 30
CPU_SECONDS: Final = 60
BYTES_PER_SECOND: Final = 1 << 20
"""Further time: a second for so many bytes."""
PATIENCE: Final = 20
"""How many times its processor time a child may take by the clock."""


def is_foreign(paths: Sequence[str]) -> bool:
    """Whether one of some files is another user's."""
    return any(os.stat(path).st_uid != os.geteuid() for path in paths)


def read_apart(importer: Importer, open_file: OpenFile, options: ImportOptions, size: int) -> None:
    """Have a child read result files from end to end; where there can be no children nothing is done.

    That a reader refuses a file is no error here: it will refuse it again.

    Parameters
    ----------
    size : int
        Bytes of all of them.

    Raises
    ------
    FeedbackMalformedError
        If the child crashed, or needed more memory or time than the files are worth.
    StorageError
        If no child can be started.
    """
    if not can_start():
        return
    seconds = CPU_SECONDS + size // BYTES_PER_SECOND
    try:
        child = Child(
            [partial(_read, importer, open_file, options)],
            Bounds(MEMORY_BYTES, seconds),
            started=not can_fork(),
        )
    except OSError as error:
        raise StorageError(f"cannot start a process to read results: {error.strerror}") from error
    try:
        answer = child.answer(seconds * PATIENCE)
    finally:
        child.end()
    name = options.file_name
    if answer is None:
        raise malformed("", f"takes more than {seconds} s to be read", name)
    if isinstance(answer, Ended):
        raise malformed("", f"can't be read: its reader ended by {answer.how}", name)
    if isinstance(answer, Failed):
        if isinstance(answer.error, DsvcError):
            raise answer.error
        raise malformed("", "needs more memory to be read than results are given", name)


def _read(importer: Importer, open_file: OpenFile, options: ImportOptions) -> None:
    with contextlib.suppress(MalformedInputError, UsageError):
        for _ in importer.read(open_file, options).samples:
            pass
