"""JSON that is the same for the same value: keys in order, UTF-8, no NaN; and paths in it."""

from __future__ import annotations

import base64
import json
from typing import Any

from dsvc.model.paths import display_path

Json = dict[str, Any]


def canonical_json(value: object, *, indent: int | None = None) -> bytes:
    """Write JSON: keys in order, UTF-8, a line feed at the end.

    Raises
    ------
    ValueError
        If a number in it is not finite.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=indent, separators=separators
    )
    return text.encode("utf-8") + b"\n"


def is_utf8(path: bytes) -> bool:
    """Whether a path can be written as text without loss."""
    return display_path(path).encode("utf-8", "surrogatepass") == path


def path_b64(path: bytes) -> str:
    """Write a path that is not UTF-8."""
    return base64.b64encode(path).decode("ascii")


def path_keys(path: bytes, name: str = "path") -> Json:
    """Keys that name a path: ``path`` as text, and ``path_b64`` where it is not UTF-8."""
    found: Json = {name: display_path(path)}
    if not is_utf8(path):
        found[f"{name}_b64"] = path_b64(path)
    return found


def without_empty(value: Json) -> Json:
    """Leave out what is None, and what is an empty text, list or object."""
    return {key: each for key, each in value.items() if each is not None and each not in ("", [], {}, ())}
