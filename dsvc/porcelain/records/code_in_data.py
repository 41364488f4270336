"""Formats of data that run code where a program loads them: told by names and first bytes, not by loading."""

from __future__ import annotations

import re
from typing import Final

_BY_SUFFIX: Final = {
    b"pkl": "pickle",
    b"pickle": "pickle",
    b"dill": "pickle",
    b"joblib": "joblib",
    b"pt": "torch",
    b"pth": "torch",
    b"ckpt": "torch",
}
# Protocols 2 to 5 begin with their number; 4 and 5 then have a frame, or an operation as the others.
_PICKLE: Final = re.compile(rb"\x80(?:[\x04\x05]\x95|[\x02-\x05][\]}()ch\x80-\x8f\x94KMNX])")
_NUMPY: Final = b"\x93NUMPY"
_OBJECTS: Final = re.compile(rb"'descr'\s*:\s*(?:'\|?O|\[[^\]]*'\|?O)")
_ZIP: Final = b"PK\x03\x04"
_TORCH_MEMBER: Final = b"/data.pkl"


def loads_code_by_name(suffix: bytes) -> str | None:
    """Name the format by which files of a suffix run code where they are loaded; None where none does."""
    return _BY_SUFFIX.get(suffix)


def loads_code(head: bytes) -> str | None:
    """Name the format by which a file runs code where it is loaded, by its first bytes."""
    if head.startswith(_ZIP):
        return "torch" if _TORCH_MEMBER in head else None
    if head.startswith(_NUMPY):
        return "npy" if _OBJECTS.search(head) else None
    return "pickle" if _PICKLE.match(head) else None
