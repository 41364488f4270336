"""Sparse checkouts: which paths the working tree holds, by patterns with gitignore syntax."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from dsvc.model.encoding import encode
from dsvc.model.errors import CorruptDataError, UsageError
from dsvc.porcelain.state.staging import read_checked, remove_checked, write_checked
from dsvc.store.layout import Layout


class SparsePatternError(UsageError):
    """A pattern of a sparse checkout can't be read."""

    code = "sparse-pattern"


class SparsePatterns:
    """Patterns that choose paths; none, or ``*`` alone, chooses all.

    Parameters
    ----------
    patterns : sequence of str
        gitignore syntax, where a match means *included*.

    Raises
    ------
    SparsePatternError
        If one can't be read, or there are too many.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = [] if list(patterns) == ["*"] else list(patterns)
        self._spec: object | None = None
        if self.patterns:
            from dsvc.model.path_patterns import PatternError, path_patterns  # loaded only for sparse trees

            try:
                self._spec = path_patterns(self.patterns)
            except PatternError as error:
                raise SparsePatternError(str(error)) from error

    def __bool__(self) -> bool:
        """Whether anything is left out at all."""
        return self._spec is not None

    def includes(self, path: bytes) -> bool:
        """Whether the working tree holds this path."""
        if self._spec is None:
            return True
        return bool(self._spec.match_file(path.decode("utf-8", "surrogateescape")))  # type: ignore[attr-defined]


def _path(layout: Layout) -> str:
    return os.path.join(layout.work, "sparse")


def load(layout: Layout) -> SparsePatterns:
    """Patterns of a working tree.

    Raises
    ------
    CorruptDataError
        If the file that holds them is damaged.
    """
    body = read_checked(_path(layout), "sparse patterns")
    try:
        return SparsePatterns([] if body is None else msgspec.msgpack.decode(body, type=list[str]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, SparsePatternError) as error:
        raise CorruptDataError(
            "the sparse patterns are malformed", details={"path": _path(layout)}
        ) from error


def save(layout: Layout, patterns: Sequence[str], *, durable: bool) -> None:
    """Replace the patterns; ``*`` alone (or none) ends a sparse checkout."""
    chosen = SparsePatterns(patterns)
    if chosen:
        write_checked(_path(layout), encode(chosen.patterns), durable=durable)
    else:
        remove_checked(_path(layout), durable=durable)
