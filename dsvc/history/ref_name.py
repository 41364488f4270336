"""Names of refs: git's rules, and a few of dsvc's for names that are made."""

from __future__ import annotations

import re
from typing import Final

from dsvc.model.errors import MalformedInputError

HEADS: Final = "refs/heads/"
TAGS: Final = "refs/tags/"
MAX_COMPONENT_BYTES: Final = 250
"""Room for the suffix ``.lock`` in the 255 bytes that file systems allow."""
MAX_NAME_BYTES: Final = 1024

_RESERVED = frozenset({"HEAD", "STAGED", "WORKTREE", "@"})
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_HEX_40 = re.compile("[0-9a-fA-F]{40}")


def _format_problem(name: str) -> str | None:
    try:
        raw = name.encode("utf-8")
    except UnicodeEncodeError:
        return "it is not text"
    parts = name.split("/")
    if len(raw) > MAX_NAME_BYTES:
        return f"it has {len(raw)} bytes, more than {MAX_NAME_BYTES}"
    if not name.startswith("refs/") or len(parts) < 2:
        return "it does not begin with refs/"
    if _FORBIDDEN.search(name):
        return "it has '..', '@{', '//', white space, a control character or one of ~ ^ : ? * [ \\"
    if name.endswith("."):
        return "it ends with a dot"
    for part in parts:
        if not part or part.startswith(".") or part.endswith(".lock"):
            return "a component is empty, begins with a dot or ends with .lock"
        if len(part.encode("utf-8")) > MAX_COMPONENT_BYTES:
            return f"a component has more than {MAX_COMPONENT_BYTES} bytes"
    return None


def _refuse(name: str, why: str) -> MalformedInputError:
    return MalformedInputError(
        f"{name[:200]!r} is not a name for a ref: {why}", details={"ref": name[:200], "why": why}
    )


def is_ref_format(name: str) -> bool:
    """Whether git allows a full name ``refs/…``."""
    return _format_problem(name) is None


def check_ref_format(name: str) -> None:
    """Refuse a full name that git would refuse: the rule for names that are read.

    Raises
    ------
    MalformedInputError
        Naming the rule.
    """
    problem = _format_problem(name)
    if problem:
        raise _refuse(name, problem)


def check_ref_name(name: str) -> None:
    """Refuse a full name that must not be made: git's rules, and names that mean something else here.

    Raises
    ------
    MalformedInputError
        Naming the rule: a branch or tag is not called ``HEAD``, ``STAGED``, ``WORKTREE``, ``@`` or like a
        full commit id, and does not begin with ``-``.
    """
    check_ref_format(name)
    for prefix in (HEADS, TAGS):
        if name.startswith(prefix):
            short = name[len(prefix) :]
            if short in _RESERVED:
                raise _refuse(name, f"{short} means something else")
            if short.startswith("-"):
                raise _refuse(name, "it would be taken for an option")
            if _HEX_40.fullmatch(short):
                raise _refuse(name, "it would be taken for a commit id")


def branch_ref(name: str) -> str:
    """Full name of the branch `name`, checked as `check_ref_name` does."""
    check_ref_name(HEADS + name)
    return HEADS + name


def tag_ref(name: str) -> str:
    """Full name of the tag `name`, checked as `check_ref_name` does."""
    check_ref_name(TAGS + name)
    return TAGS + name


def short_name(ref: str) -> str:
    """Name of a ref for people: without ``refs/heads/``, ``refs/tags/`` or ``refs/``."""
    for prefix in (HEADS, TAGS, "refs/"):
        if ref.startswith(prefix):
            return ref[len(prefix) :]
    return ref
