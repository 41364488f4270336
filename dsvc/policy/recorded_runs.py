"""Runs that the judged files come from, as rules ask for them; what can't be read is said, never left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dsvc.lineage.validation import Finding, Outcome, run_subject, source_subject, unreadable
from dsvc.model.run_record import Run, RunId, RunKind
from dsvc.policy.case import Case


class KnownRun(NamedTuple):
    """A run that can be read."""

    id: RunId
    run: Run

    @property
    def subject(self) -> bytes:
        """Subject of findings about it."""
        return run_subject(self.id)

    def fact(self, name: str) -> str | None:
        """A fact that it records; None where it doesn't, or says nothing."""
        return self.run.facts.get(name, "").strip() or None

    def lacks(self, name: str, what: str) -> Finding:
        """Say that a fact isn't recorded."""
        kind = self.run.kind.value
        return Finding(
            self.subject,
            f"run {self.run.name}: {what} is not recorded",
            f"dsvc run --kind {kind} --fact {name}=… records it",
            Outcome.INCOMPLETE,
        )

    def fails(self, message: str, hint: str | None = None) -> Finding:
        """Say what is wrong with it."""
        return Finding(self.subject, f"run {self.run.name}: {message}", hint)


def runs_of(case: Case, *kinds: RunKind) -> list[KnownRun]:
    """Runs of some kinds that the judged files come from, oldest first."""
    runs = case.judged.origins.runs
    found = [KnownRun(id_, run) for id_ in case.judged.closure.runs if (run := runs.run(id_)).kind in kinds]
    return sorted(found, key=lambda each: (each.run.started_at, each.id))


def unread(case: Case) -> Iterator[Finding]:
    """Runs and sources that can't be read: whether they are what a rule looks for is unknown."""
    origins = case.judged.origins
    # The graph finds some of them while it is asked.
    for run, error in sorted(origins.runs.unreadable.items()):
        yield unreadable(run_subject(run), error)
    for source, error in sorted(origins.sources.unreadable.items()):
        yield unreadable(source_subject(source), error)
