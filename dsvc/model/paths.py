"""The path rule: structural classes are always refused, portability classes on request.

The classes are those of hostile inputs H1 to H6 and H11: what a name may not be on any system, and what
some systems cannot hold or fold onto another name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from dsvc.model.errors import MalformedInputError

MAX_PATH_BYTES: Final = 4096
MAX_NAME_BYTES: Final = 255
MAX_DEPTH: Final = 1000

# Fast accept: printable ASCII without the characters that any rule looks at, no dot at either end of a name.
_NAME = rb"[0-9A-Za-z_\-+=,@%()\[\]{}!#&' ][0-9A-Za-z_\-+=,@%()\[\]{}!#&'. ]*"
_PLAIN = re.compile(_NAME + rb"(?:/" + _NAME + rb")*")
_PLAIN_LINES = re.compile(_PLAIN.pattern + rb"(?:\n" + _PLAIN.pattern + rb")*")
# Fast accept for portability: no reserved character, no dot or space at an end, no device name.
_PORTABLE = re.compile(
    rb"(?:(?!(?i:con|prn|aux|nul|com\d|lpt\d)(?:[./]|$))[0-9A-Za-z_\-][0-9A-Za-z_\-.]*(?<!\.)(?:/|$))+(?<!/)"
)
# Code points that HFS+ ignores when it compares names (the class of CVE-2014-9390).
_IGNORABLE = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff\u00ad\u2060-\u2064\u180e\u200b]")
_RESERVED = re.compile(r"(?:\.dsvc|\.git|dsvc~\d+|git~\d+)", re.IGNORECASE)
_DEVICES = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)


def _refuse(path: bytes, why: str) -> None:
    raise MalformedInputError(
        f"path {display_path(path[:200])!r} is refused: {why}",
        details={"path": display_path(path), "why": why},
    )


def is_reserved_name(name: bytes) -> bool:
    """Whether a file system could take `name` for ``.dsvc`` or ``.git``, or for a path into one of them.

    Counts case folding, trailing dots and spaces, NTFS streams and short names, backslashes, ignorable and
    compatibility code points.
    """
    text = name.decode("utf-8", "surrogateescape")
    text = unicodedata.normalize("NFKC", _IGNORABLE.sub("", text))
    parts = (part.split(":", 1)[0].rstrip(". ").casefold() for part in text.split("\\"))
    return any(map(_RESERVED.fullmatch, parts))


def check_structure(path: bytes) -> None:
    """Refuse a path that is not a plain relative path on every system.

    Raises
    ------
    MalformedInputError
        For an empty component, ``.``, ``..``, a leading ``/``, NUL, a component over 255 or a path over
        4,096 bytes, more than 1,000 components, or an alias of ``.dsvc`` or ``.git``.
    """
    if len(path) <= MAX_NAME_BYTES and _PLAIN.fullmatch(path):
        return
    if not path:
        _refuse(path, "it is empty")
    if len(path) > MAX_PATH_BYTES:
        _refuse(path, f"it has {len(path)} bytes, more than {MAX_PATH_BYTES}")
    if b"\0" in path:
        _refuse(path, "it contains NUL")
    if path.startswith(b"/"):
        _refuse(path, "it is absolute")
    names = path.split(b"/")
    if len(names) > MAX_DEPTH:
        _refuse(path, f"it is deeper than {MAX_DEPTH} folders")
    for name in names:
        if name in (b"", b".", b".."):
            _refuse(path, f"component {name.decode()!r}")
        if len(name) > MAX_NAME_BYTES:
            _refuse(path, f"a component has more than {MAX_NAME_BYTES} bytes")
        if is_reserved_name(name):
            _refuse(path, "a component is an alias of .dsvc or .git")


def check_structures(paths: Sequence[bytes]) -> None:
    """Refuse paths as `check_structure` does; plain ones all at once.

    Raises
    ------
    MalformedInputError
        As `check_structure`.
    """
    if not paths:
        return
    joined = b"\n".join(paths)
    # A path with line feeds looks like several plain ones here; that is as good as one plain one.
    if max(map(len, paths)) <= MAX_NAME_BYTES and _PLAIN_LINES.fullmatch(joined):
        return
    for path in paths:
        check_structure(path)


def is_within(path: bytes, folders: Iterable[bytes]) -> bool:
    """Whether a path is one of some paths or lies below one; ``b""`` is the whole tree."""
    return any(folder in (b"", path) or path.startswith(folder + b"/") for folder in folders)


def is_plain(path: bytes) -> bool:
    """Whether a path is beyond doubt: plain names that every system takes; the quick answer for most."""
    return len(path) <= MAX_NAME_BYTES and _PORTABLE.fullmatch(path) is not None


def portability_problem(path: bytes) -> str | None:
    """Say why other systems refuse this path, or None where they take it."""
    if _PORTABLE.fullmatch(path):
        return None
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8"
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        return "control character"
    if re.search(r'[\\:*?"<>|]', text):
        return "character that Windows reserves"
    for name in text.split("/"):
        if name.endswith((".", " ")):
            return "trailing dot or space"
        if _DEVICES.fullmatch(name):
            return "device name on Windows"
    return None


def fold(path: bytes) -> str:
    """Map a path to the form under which a case- or normalisation-folding file system holds it."""
    return unicodedata.normalize("NFC", path.decode("utf-8", "surrogateescape")).casefold()


def display_path(path: bytes) -> str:
    """Decode for JSON and messages: what is not UTF-8 becomes U+FFFD."""
    return path.decode("utf-8", "replace")
