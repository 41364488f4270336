"""Rules over lineage: each leaf has a source, and what is recorded holds together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final

from dsvc.lineage import invariants
from dsvc.lineage.validation import Finding, Judged
from dsvc.model.manifest import Kind
from dsvc.model.run_record import RunKind
from dsvc.policy.case import Case
from dsvc.policy.recorded_runs import runs_of, unread
from dsvc.policy.rule import Parameter, Rule, Terms
from dsvc.policy.table_questions import Question, answers, columns_of

if TYPE_CHECKING:
    from dsvc.policy.detectors.detector import Wanted


class _Invariant(Rule):
    """A rule that looks at nothing but lineage."""

    exit_code = 22

    def __init__(self, look: Callable[[Judged], Iterator[Finding]]) -> None:
        self._look = look

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for what breaks it; of records that can't be read it isn't known whether they do."""
        yield from self._look(case.judged)
        yield from unread(case)


class Sourced(_Invariant):
    """Each leaf of the lineage has a source record."""

    id = "SRC-01"
    settled_by = "source_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for leaves without one, and for records that can't be read."""
        return self._look(case.judged)


class Acyclic(_Invariant):
    """Nothing comes from itself."""

    id = "LIN-01"


class Whole(_Invariant):
    """Only sources in force are reached, and every record that is reached is whole."""

    id = "LIN-02"


class Explained(_Invariant):
    """Each run says with which code, where, by whom and when."""

    id = "LIN-03"


class Graded(_Invariant):
    """What a run made is graded no lower than what it read, unless someone declassified it."""

    id = "LIN-04"
    settled_by = "compliance_officer"


class Unleaked(_Invariant):
    """No row is in two outputs of a split: of equal content, and if asked of nearly equal content."""

    id = "LIN-05"
    parameters: ClassVar = MappingProxyType({"near_duplicates": Parameter(default=False)})

    def wants(self, case: Case, terms: Terms) -> Iterable[Wanted]:
        """Ask for near-duplicates across the outputs of each split, and across the splits of each table."""
        return [each.wanted for each in _splits(case, terms) if each.wanted is not None]

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Compare rows by their content, then look at what the detector says."""
        yield from super().find(case, terms)
        yield from answers(case, _splits(case, terms), "rows are in several splits")


def _splits(case: Case, terms: Terms) -> list[Question]:
    if not terms.flag("near_duplicates"):
        return []
    found = []
    for run in runs_of(case, RunKind.SPLIT):
        tree = case.judged.origins.runs.trees[run.id]
        files = list(tree.files_made())
        tables = [each for each in files if each.kind == Kind.TABLE]
        if len(tables) > 1:
            found.append(Question.of_set(case, run.subject, tables, "near_duplicates", ("content",)))
    for entry in case.entries:
        if entry.kind == Kind.TABLE and columns_of(case, entry, "split"):
            found.append(Question.of(case, entry, "near_duplicates", ("content", "split")))
    return found


RULES: Final = (
    Sourced(invariants.sourced),
    Acyclic(invariants.acyclic),
    Whole(invariants.whole),
    Explained(invariants.explained),
    Graded(invariants.graded),
    Unleaked(invariants.unleaked),
)
