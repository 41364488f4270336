"""Libraries that dsvc hands tables to and doesn't need itself."""

from __future__ import annotations

from importlib.util import find_spec

from dsvc.model.errors import UsageError


class MissingExtraError(UsageError):
    """A library that was asked for is not installed."""

    code = "missing-extra"


def need(library: str) -> None:
    """Refuse where a library isn't installed.

    Raises
    ------
    MissingExtraError
        Naming the extra that brings it.
    """
    if find_spec(library) is None:
        raise MissingExtraError(
            f"{library} is not installed", hint=f"install it with: pip install 'dsvc[{library}]'"
        )
