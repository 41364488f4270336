"""What a detector of tables is told: columns by the part they play, numbers, and words of a closed list."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from dsvc.model.errors import UsageError


class DetectorOptionError(UsageError):
    """A detector is told something that it doesn't understand."""

    code = "detector-option"


def columns_option(names: Sequence[str]) -> str:
    """Write names of columns as the value of an option."""
    return json.dumps(list(names), ensure_ascii=False, separators=(",", ":"))


class SetOptions:
    """Reads the options of one detector.

    Parameters
    ----------
    detector : str
        Its name, for messages.
    given : mapping of str to str
        What it is told.
    known : collection of str
        What it understands.

    Raises
    ------
    DetectorOptionError
        If there is anything else among them.
    """

    def __init__(self, detector: str, given: Mapping[str, str], known: Collection[str]) -> None:
        self._detector = detector
        self._given = given
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise DetectorOptionError(
                f"the detector {detector} knows no option {unknown[0]!r}",
                hint=f"known are: {', '.join(sorted(known))}",
            )

    def columns(self, role: str) -> tuple[str, ...]:
        """Columns that play a part: one name as it is, or several as JSON; empty where nothing is said.

        Raises
        ------
        DetectorOptionError
            If they are neither.
        """
        text = self._given.get(role, "")
        if not text.startswith("["):
            return (text,) if text else ()
        try:
            names = json.loads(text)
        except ValueError as error:
            raise self._error(role, text, "names of columns") from error
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise self._error(role, text, "names of columns")
        return tuple(names)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Read a number within bounds.

        Raises
        ------
        DetectorOptionError
            If it is none, or out of bounds.
        """
        text = self._given.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError as error:
            raise self._error(name, text, "a number") from error
        if not low <= value <= high:
            raise self._error(name, text, f"from {low:g} to {high:g}")
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Read a whole number within bounds; raises as `number`."""
        value = self.number(name, default, low, high)
        if value != int(value):
            raise self._error(name, self._given[name], "a whole number")
        return int(value)

    def words(self, name: str, default: Sequence[str], allowed: Collection[str]) -> tuple[str, ...]:
        """Read words of a closed list, parted by commas.

        Raises
        ------
        DetectorOptionError
            If there are others, or none.
        """
        text = self._given.get(name)
        if text is None:
            return tuple(default)
        found = tuple(word.strip() for word in text.split(","))
        if not set(found) <= set(allowed):
            raise self._error(name, text, f"one or more of {', '.join(sorted(allowed))}")
        return found

    def _error(self, name: str, value: str, wanted: str) -> DetectorOptionError:
        return DetectorOptionError(f"{self._detector}: {name} must be {wanted}, not {value!r}")


__all__ = ["DetectorOptionError", "SetOptions", "columns_option"]
