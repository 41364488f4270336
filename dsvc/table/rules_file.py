"""``dsvc.toml`` as a document, before anybody asks what its sections say."""

from __future__ import annotations

import re
from typing import Any, Final

from dsvc.model.errors import UsageError

MAX_DEPTH: Final = 64
MAX_BITS: Final = 4096
"""Of a number. TOML has 64; Python reads any number in base 16, and can't write all of them in base 10."""
_PART: Final = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_LONG_KEY: Final = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{{MAX_DEPTH},}}")
"""A key of so many parts that the parser, whose time goes with their square, would take hours."""


def read_document(data: bytes, name: str, kind: type[UsageError]) -> dict[str, Any]:
    """Parse the file.

    Parameters
    ----------
    data : bytes
        Its content, TOML in UTF-8.
    name : str
        What to call it in messages.
    kind : type of UsageError
        What to raise.

    Raises
    ------
    UsageError
        Of that kind, if it is malformed, with the line where it is.
    """
    import tomllib

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise kind(f"{name}, line {line}: not UTF-8", details={"path": name, "line": line}) from error
    long_key = _LONG_KEY.search(text)
    if long_key is not None:
        line = text.count("\n", 0, long_key.start()) + 1
        raise kind(f"{name}, line {line}: it nests too deep", details={"path": name, "line": line})
    try:
        document = tomllib.loads(text)
    except ValueError as error:
        # Of TOML, or of a number with thousands of digits, which Python does not read.
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise kind(
            f"{name}, line {line}: not valid TOML: {error}", details={"path": name, "line": line}
        ) from error
    except RecursionError as error:
        raise kind(f"{name} nests too deep", details={"path": name, "line": None}) from error
    if _depth_exceeds(document, MAX_DEPTH):
        raise kind(f"{name} nests too deep", details={"path": name, "line": None})
    if _has_long_number(document):
        raise kind(f"{name} has a number of thousands of digits", details={"path": name, "line": None})
    return document


def _depth_exceeds(document: object, limit: int) -> bool:
    """Whether tables and lists nest deeper; those who walk through them may recurse."""
    level: list[object] = [document]
    for _ in range(limit):
        inner: list[object] = [
            each
            for outer in level
            for each in (
                outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ()
            )
            if isinstance(each, dict | list)
        ]
        if not inner:
            return False
        level = inner
    return True


def _has_long_number(document: object) -> bool:
    waiting = [document]
    while waiting:
        at = waiting.pop()
        if isinstance(at, dict):
            waiting.extend(at.values())
        elif isinstance(at, list):
            waiting.extend(at)
        elif isinstance(at, int) and at.bit_length() > MAX_BITS:
            return True
    return False
