"""References to rows that travel through other tools: ``dsvc_ref = COMMIT:PATH#KEY``.

A reference is a target, as ``dsvc blame`` takes it, wherever the names in it are ordinary. It is plain text
on one line, in UTF-8, whatever the names are: what would be taken for something else is written as ``%XX``,
byte by byte.

=========================== ==========================================================================
in a path                   ``#``, ``:``, control characters, bytes that aren't UTF-8; ``%`` before two
                            hexadecimal digits
in a key                    also ``%`` everywhere, ``,`` and, in the name of a column, ``=``
=========================== ==========================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from dsvc.model.errors import MalformedInputError, UsageError
from dsvc.model.feedback import Scalar
from dsvc.model.ids import CommitId
from dsvc.model.paths import check_structure, display_path

FIELD: Final = "dsvc_ref"
"""What the field is called in samples that are given to other tools."""
MAX_LENGTH: Final = 64 << 10
# Control characters, and marks that turn the direction of what a terminal shows after them.
_CONTROL: Final = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_IN_PATH: Final = re.compile(rf"[#:{_CONTROL}]|%(?=[0-9A-Fa-f]{{2}})")
_IN_VALUE: Final = re.compile(rf"[%#,{_CONTROL}]")
_IN_NAME: Final = re.compile(rf"[%#,={_CONTROL}]")
_POSITION: Final = re.compile(r"@(0|[1-9][0-9]{0,17})")


class MalformedReferenceError(MalformedInputError):
    """A text is no reference to a row, or a row can't be written as one."""

    code = "malformed-reference"


class Reference(NamedTuple):
    """A row of a version, or a whole file of it.

    Attributes
    ----------
    revision : str
        As a rule the id of a commit.
    path : bytes
        File in the working tree.
    key : tuple of (str, str)
        Key columns with their values as text; a value is read in its column's type.
    position : int or None
        0-based number of the record, in place of a key.
    """

    revision: str
    path: bytes
    key: tuple[tuple[str, str], ...] = ()
    position: int | None = None


def write_reference(
    commit: str, path: bytes, row: Mapping[str, Scalar] | None = None, *, position: int | None = None
) -> str:
    """Write ``COMMIT:PATH#KEY``, for a row by its key or its place, or for a whole file.

    Parameters
    ----------
    commit : str
        Id of the commit that has this version of the file.
    path : bytes
        File in the working tree.
    row : mapping or None
        Key columns and their values.
    position : int or None
        0-based number of the record, where the table has no key.

    Raises
    ------
    MalformedReferenceError
        If a key is empty, or null: that tells no row from others; or the reference would be too long.
    MalformedInputError
        If the commit is none, or the path is refused.
    UsageError
        If the row is named in both ways.
    """
    CommitId.parse(commit)
    check_structure(path)
    if row is not None and position is not None:
        raise UsageError("a reference names a row by its key or by its place, not by both")
    text = f"{commit}:{_escape(path.decode('utf-8', 'surrogateescape'), _IN_PATH, 'surrogateescape')}"
    if position is not None:
        if not 0 <= position < 10**18:
            raise MalformedReferenceError(f"there is no record {position}")
        text += f"#@{position}"
    elif row is not None:
        text += "#" + _write_key(row)
    if len(text) > MAX_LENGTH:
        raise MalformedReferenceError(f"a reference of {len(text)} characters; {MAX_LENGTH} are read")
    return text


def _write_key(row: Mapping[str, Scalar]) -> str:
    if not row or "" in row:
        raise MalformedReferenceError("a row is named by no column, or by one without a name")
    pairs = ((name, key_text(name, value)) for name, value in row.items())
    return ",".join(
        f"{_escape(name, _IN_NAME, 'surrogatepass')}={_escape(value, _IN_VALUE, 'surrogatepass')}"
        for name, value in pairs
    )


def key_text(name: str, value: Scalar) -> str:
    """Write the value of a key column as text.

    Raises
    ------
    MalformedReferenceError
        If it is null.
    """
    if value is None:
        raise MalformedReferenceError(f"column {name[:80]!r} is null, which names no row")
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def _escape(text: str, signs: re.Pattern[str], errors: str) -> str:
    return signs.sub(lambda found: "".join(f"%{each:02X}" for each in found[0].encode("utf-8", errors)), text)


def read_reference(text: str) -> Reference:
    """Read what `write_reference` wrote, or a person in its manner.

    Raises
    ------
    MalformedReferenceError
        If it is no ``REV:PATH``, ``REV:PATH#COLUMN=VALUE[,…]`` or ``REV:PATH#@N``.
    """
    file, sign, row = text.partition("#")
    revision, colon, path = file.partition(":")
    if len(text) > MAX_LENGTH or not (revision and colon and path) or ":" in path:
        raise _malformed(text)
    try:
        raw = unquote_to_bytes(path.encode("utf-8"))
        check_structure(raw)
    except (UnicodeEncodeError, MalformedInputError) as error:
        raise _malformed(text) from error
    if not sign:
        return Reference(revision, raw)
    if found := _POSITION.fullmatch(row):
        return Reference(revision, raw, position=int(found[1]))
    return Reference(revision, raw, key=_read_key(row, text))


def _read_key(row: str, text: str) -> tuple[tuple[str, str], ...]:
    pairs = [part.partition("=") for part in row.split(",")]
    try:
        key = tuple((_unescape(name), _unescape(value)) for name, _sign, value in pairs)
    except UnicodeError as error:
        raise _malformed(text) from error
    names = [name for name, _value in key]
    if not all(sign for _name, sign, _value in pairs) or "" in names or len(set(names)) < len(names):
        raise _malformed(text)
    return key


def _unescape(text: str) -> str:
    return unquote_to_bytes(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def _malformed(text: str) -> MalformedReferenceError:
    shown = display_path(text[:80].encode("utf-8", "replace"))
    return MalformedReferenceError(
        f"{shown!r} is no reference to a row",
        hint="a reference is COMMIT:PATH#COLUMN=VALUE or COMMIT:PATH#@N",
    )
