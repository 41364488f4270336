"""A rule of policy: what it asks of a version, and the terms under which a pack names it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import msgspec

from dsvc.lineage.validation import Finding, Gate, Severity

if TYPE_CHECKING:
    from dsvc.policy.case import Case
    from dsvc.policy.detectors.detector import Wanted

Value = bool | int | float | str | tuple[str, ...]
"""What a parameter can be."""
GATES: Final = tuple(Gate)
SEVERITIES: Final = (Severity.BLOCKING, Severity.WARNING, Severity.INFORMATION)
"""The strictest first."""


class Stricter(StrEnum):
    """In which direction a number gets stricter."""

    HIGHER = "higher"
    LOWER = "lower"


class Parameter(NamedTuple):
    """A threshold or another choice that a pack can set.

    Attributes
    ----------
    default : Value
        Where the pack says nothing.
    stricter : Stricter or None
        Which way it may be overridden; None: by the pack only.
    unit : str
        As in ``days`` or ``share``.
    """

    default: Value
    stricter: Stricter | None = None
    unit: str = ""


class Binding(StrEnum):
    """How much a clause obliges."""

    MANDATORY = "mandatory"
    RECOMMENDED = "recommended"
    PROPOSAL = "proposal"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a pack says of a rule.

    Attributes
    ----------
    severity : Severity
        Whether it blocks.
    gate : Gate
        The first gate that asks it.
    clause : str
        What demands it.
    jurisdiction : str
        Where; ``*``: anywhere.
    binding : Binding
    effective_from, effective_until : str or None
        First day on which it holds, first day on which it no longer does, ``YYYY-MM-DD``.
    verified : bool
        Whether clause and numbers were compared with the primary text.
    parameters : mapping of str to Value
        All that the rule has, defaults filled in.
    """

    severity: Severity
    gate: Gate
    clause: str
    jurisdiction: str = "*"
    binding: Binding = Binding.RECOMMENDED
    effective_from: str | None = None
    effective_until: str | None = None
    verified: bool = False
    parameters: Mapping[str, Value] = {}

    def holds_on(self, day: str) -> bool:
        """Whether it is in effect on a day, ``YYYY-MM-DD``."""
        begins, ends = self.effective_from, self.effective_until
        return (begins is None or begins <= day) and (ends is None or day < ends)

    def number(self, name: str) -> float:
        """A parameter that is a number."""
        value = self.parameters[name]
        assert isinstance(value, int | float)
        return float(value)

    def text(self, name: str) -> str:
        """A parameter that is a text."""
        return str(self.parameters[name])

    def texts(self, name: str) -> tuple[str, ...]:
        """A parameter that is a list of texts."""
        value = self.parameters[name]
        assert isinstance(value, tuple)
        return value

    def flag(self, name: str) -> bool:
        """A parameter that is true or false."""
        return self.parameters[name] is True


class Rule(ABC):
    """What a version must fulfil.

    A rule asks for what must be there: it finds ``INCOMPLETE`` where that is missing or unknown, ``FAIL``
    where it is there and says no. Taking evidence away never makes it pass.

    Attributes
    ----------
    id : str
        Stable name.
    settled_by : str
        The role that can settle what it finds.
    exit_code : int
        What a gate exits with when it fails.
    parameters : mapping of str to Parameter
    scans : tuple of str
        Detectors that must have looked at each judged file.
    """

    id: ClassVar[str]
    settled_by: ClassVar[str] = "engineer"
    exit_code: ClassVar[int] = 20
    parameters: ClassVar[Mapping[str, Parameter]] = MappingProxyType({})
    scans: ClassVar[tuple[str, ...]] = ()

    def wants(self, case: Case, terms: Terms) -> Iterable[Wanted]:
        """List what detectors of sets of files must have looked at."""
        return ()

    @abstractmethod
    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for what breaks it.

        Raises
        ------
        DsvcError
            If something can't be read; the engine says then that it can't be told.
        """


class RuleUse(NamedTuple):
    """A rule as a pack names it."""

    rule: Rule
    terms: Terms
    pack: str
