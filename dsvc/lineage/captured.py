"""What a capture of rows is asked for, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dsvc.lineage.declared_maps import DeclaredMaps
from dsvc.lineage.links import Links
from dsvc.lineage.record_rows import RecordRows
from dsvc.lineage.row_account import RowAccount
from dsvc.model.run_record import Capture, Role, RunKind


@dataclass(frozen=True, slots=True)
class CapturedInput:
    """An input of a run.

    Attributes
    ----------
    path : bytes
        As the run's record names it.
    rows : RecordRows or None
        Its records; None where it has none, so that it takes no part.
    key : tuple of str
        Columns that identify its rows; empty: none are declared. A folder's files have their paths.
    role : Role
        A lookup takes no part.
    """

    path: bytes
    rows: RecordRows | None
    key: tuple[str, ...] = ()
    role: Role = Role.INPUT


@dataclass(frozen=True, slots=True)
class CapturedOutput:
    """An output of a run; attributes as those of `CapturedInput`."""

    path: bytes
    rows: RecordRows | None
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRequest:
    """A run whose rows are to be followed.

    Attributes
    ----------
    renamed : mapping of str to str
        Old names of columns to new ones.
    declared : DeclaredMaps or None
        What the run itself said of its rows.
    drop_reason : str or None
        Of dropped rows for which no other reason is known.
    """

    kind: RunKind
    inputs: Sequence[CapturedInput]
    outputs: Sequence[CapturedOutput]
    renamed: Mapping[str, str] = field(default_factory=dict)
    declared: DeclaredMaps | None = None
    drop_reason: str | None = None


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """Which rows became which; artifacts are named by their place in the request.

    Attributes
    ----------
    links : dict of (int, int) to Links
        By output and input; pairs without links are left out.
    accounts : dict of int to RowAccount
        By input, of those that take part.
    added : dict of int to int
        By output with records: rows without a parent.
    captures : dict of int to Capture
        By output: how its rows' parents are known.
    duplicate_keys : dict of int to int
        By input that takes part: rows whose key other rows of it have too.
    duplicates : int
        The same over all inputs and outputs.
    problems : tuple of str
        Why the run isn't complete; empty: it is.
    """

    links: dict[tuple[int, int], Links]
    accounts: dict[int, RowAccount]
    added: dict[int, int]
    captures: dict[int, Capture]
    duplicate_keys: dict[int, int]
    duplicates: int
    problems: tuple[str, ...]

    @property
    def capture(self) -> Capture:
        """The weakest way over all outputs with records."""
        order = list(Capture)
        known = [each for each in self.captures.values() if each is not Capture.NONE]
        return max(known, key=order.index, default=Capture.NONE)

    def drops(self) -> dict[str, int]:
        """Count dropped rows by reason, over all inputs."""
        total: dict[str, int] = {}
        for account in self.accounts.values():
            for reason, count in account.drops().items():
                total[reason] = total.get(reason, 0) + count
        return total
