"""Which rows were left out on the way to a release, by run and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from dsvc.model.errors import CorruptDataError
from dsvc.model.run_record import Run, RunId


class DropLine(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that a run dropped for one reason."""

    run: str
    name: str
    reason: str
    rows: int

    @property
    def is_unspecified(self) -> bool:
        """Whether nobody said why."""
        from dsvc.lineage.fates import UNSPECIFIED  # with numpy, which listing releases needs not

        return self.reason == UNSPECIFIED


class DropAccounting(msgspec.Struct, frozen=True):
    """Rows that were left out: a line for each run and reason."""

    lines: tuple[DropLine, ...] = ()

    @property
    def rows(self) -> int:
        """All of them."""
        return sum(each.rows for each in self.lines)

    @property
    def unspecified(self) -> int:
        """Those of which nobody said why."""
        return sum(each.rows for each in self.lines if each.is_unspecified)

    @property
    def by_reason(self) -> dict[str, int]:
        """Count rows by reason, the reasons in order."""
        found: Counter[str] = Counter()
        for each in self.lines:
            found[each.reason] += each.rows
        return dict(sorted(found.items()))


def account_drops(runs: Iterable[tuple[RunId, Run]]) -> DropAccounting:
    """Account for the rows that runs dropped.

    What a run dropped without any reason on record counts as unspecified.

    Raises
    ------
    CorruptDataError
        If a run's reasons are more than the rows that it dropped.
    """
    from dsvc.lineage.fates import UNSPECIFIED

    lines = []
    for id_, run in dict(runs).items():
        reasons = Counter(run.drops)
        rest = run.rows["dropped"] - sum(reasons.values())
        if rest < 0 or min(reasons.values(), default=0) < 0:
            raise CorruptDataError(
                f"run {id_.short()} gives reasons for more rows than it dropped", details={"run": id_.hex()}
            )
        reasons[UNSPECIFIED] += rest
        lines += [
            DropLine(run=id_.hex(), name=run.name, reason=reason, rows=rows)
            for reason, rows in reasons.items()
            if rows
        ]
    return DropAccounting(tuple(sorted(lines, key=lambda each: (each.name, each.run, each.reason))))
