"""Licence expressions: SPDX, with names of one's own, or ``undetermined``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from dsvc.lineage.source_fields import UNDETERMINED
from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    from license_expression import Licensing

_OWN: Final = re.compile(r"(?:DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+")
_MAX_CHARACTERS: Final = 2000


class LicenseExpressionError(UsageError):
    """A licence expression can't be read."""

    code = "license-expression"


@lru_cache(maxsize=1)
def _licensing() -> Licensing:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def check_license(text: str) -> str:
    """Return a licence expression in its normal form.

    Parameters
    ----------
    text : str
        SPDX ids and ``LicenseRef-…`` with ``AND``, ``OR`` and ``WITH``; or ``undetermined``.

    Raises
    ------
    LicenseExpressionError
        If it can't be parsed, or names a licence that SPDX doesn't know, with one that looks like it.
    """
    wanted = text.strip()
    if wanted.casefold() == UNDETERMINED:
        return UNDETERMINED
    if not wanted or len(wanted) > _MAX_CHARACTERS:
        raise LicenseExpressionError(
            "a licence expression is empty or too long", hint=f"SPDX, as in CC-BY-4.0, or {UNDETERMINED}"
        )
    from license_expression import ExpressionError

    known = _licensing()
    try:
        parsed = known.parse(wanted, validate=False)
    except Exception as error:  # What the library stumbles over: empty brackets raise five kinds of errors.
        is_reason = isinstance(error, ExpressionError)
        why = str(error).partition("\n")[0][:200] if is_reason else "it can't be parsed"
        raise LicenseExpressionError(
            f"{wanted[:200]!r} is no licence expression: {why}",
            hint="SPDX, as in CC-BY-4.0 or 'MIT OR Apache-2.0'",
        ) from error
    for key in known.unknown_license_keys(parsed):
        if not _OWN.fullmatch(key):
            raise _unknown(key)
    return str(parsed.render())


def _unknown(key: str) -> LicenseExpressionError:
    from difflib import get_close_matches

    known = {name.casefold(): name for name in _licensing().known_symbols}
    close = [known[name] for name in get_close_matches(key.casefold(), known, 3, 0.7)]
    own = "a licence of your own is LicenseRef-NAME"
    hint = f"did you mean {' or '.join(close)}? {own}" if close else f"{own}; not known yet: {UNDETERMINED}"
    return LicenseExpressionError(f"SPDX knows no licence {key[:120]!r}", hint=hint)


def licenses_of(expression: str) -> list[str]:
    """List the licences that an expression of `check_license` names; none where it is undetermined."""
    if expression == UNDETERMINED:
        return []
    return [str(key) for key in _licensing().license_keys(expression)]


LicenceTree = str | tuple[str, tuple["LicenceTree", ...]]
"""One licence (with its exception), or ``AND`` or ``OR`` with what it stands between."""


@lru_cache(maxsize=4096)
def licence_tree(expression: str) -> LicenceTree:
    """Take an expression of `check_license` apart.

    Raises
    ------
    LicenseExpressionError
        If it can't be parsed, or names a licence that SPDX doesn't know.
    """
    normal = check_license(expression)
    if normal == UNDETERMINED:
        return UNDETERMINED
    return _tree(_licensing().parse(normal, validate=False))


def _tree(parsed: Any) -> LicenceTree:
    parts = getattr(parsed, "args", ())
    if not parts:
        return str(parsed.render())
    word = "AND" if "AND" in parsed.operator else "OR"
    return word, tuple(_tree(part) for part in parts)


@lru_cache(maxsize=1)
def spdx_ids() -> frozenset[str]:
    """Every id of a licence or an exception that SPDX has."""
    return frozenset(str(key) for key in _licensing().known_symbols if not str(key).startswith("LicenseRef-"))
