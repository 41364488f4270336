"""Reviews that are recorded as runs: which files each covers, how many items were looked at and passed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from dsvc.lineage.closure import Step
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.validation import Finding, Outcome
from dsvc.model.manifest import Entry
from dsvc.model.run_record import Role, RunId, RunKind
from dsvc.policy.case import Case
from dsvc.policy.recorded_runs import KnownRun, runs_of
from dsvc.policy.sampling import content_root, sample_seed

ASPECTS: Final = ("labels", "safety", "quality")
"""What a review looks at: the fact ``aspect``."""
_DIGITS: Final = 12


def read_files(case: Case, run: KnownRun) -> frozenset[ArtifactNode]:
    """Files that a run read for their rows."""
    reads = case.judged.origins.runs.reads(run.id)
    return frozenset(each.node for each in reads if each.role is Role.INPUT)


def covered(case: Case, run: KnownRun) -> frozenset[ArtifactNode]:
    """Files that a review speaks of: those that it read, and those that it gave out.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a list of files can't be read.
    """
    tree = case.judged.origins.runs.trees[run.id]
    made = tree.files_made()
    return read_files(case, run) | {ArtifactNode(each.path, each.digest) for each in made}


def seed_of(files: Iterable[ArtifactNode]) -> str:
    """Seed of a sample of some files, whether they were named one by one or by their folder."""
    return str(sample_seed(content_root((each.path, each.digest) for each in files)))


def final_files(case: Case) -> list[Entry]:
    """Judged files that no other step reads: given out, not what that was made of; raises as `covered`."""
    used: set[ArtifactNode] = set()
    for each in runs_of(case, *(kind for kind in RunKind if kind is not RunKind.REVIEW)):
        used |= read_files(case, each)
    reports = _reports(case)
    nodes = {entry: ArtifactNode(entry.path, entry.digest) for entry in case.entries}
    return [entry for entry, node in nodes.items() if node not in used and node not in reports]


def _reports(case: Case) -> set[ArtifactNode]:
    """What reviews wrote that is no table: reports, which nobody has to review."""
    found: set[ArtifactNode] = set()
    tables = {ArtifactNode(entry.path, entry.digest) for entry in case.entries if entry.rows is not None}
    for run in runs_of(case, RunKind.REVIEW):
        found |= covered(case, run) - read_files(case, run) - tables
    return found


def items_of(entries: Iterable[Entry]) -> int:
    """Count items: rows of tables, other files one by one."""
    return sum(1 if entry.rows is None else entry.rows for entry in entries)


def runs_behind(case: Case, wanted: Iterable[RunId], runs: Iterable[RunId]) -> dict[RunId, tuple[RunId, ...]]:
    """Say of some runs which of others what they read comes from; one pass for all of them."""
    closure = case.judged.closure
    # A set of runs is a number with a bit for each: uniting two is one operation.
    bits: dict[Step, int] = {id_: 1 << place for place, id_ in enumerate(dict.fromkeys(wanted))}
    asked = list(runs)
    if not bits or not asked:
        return dict.fromkeys(asked, ())
    settled = set(closure.order)
    order = [*closure.order, *(step for step in closure.parents if step not in settled)]
    found: dict[Step, int] = {}
    changed = True
    # Once more until nothing changes, for what comes from itself by a detour.
    while changed:
        changed = False
        for step in order:
            united = found.get(step, 0)
            for parent in closure.parents[step]:
                united |= found.get(parent, 0) | bits.get(parent, 0)
            if united and united != found.get(step):
                found[step] = united
                changed = True
    names = {number: id_ for id_, number in bits.items() if not isinstance(id_, ArtifactNode)}
    return {
        id_: tuple(name for number, name in names.items() if found.get(id_, 0) & number and name != id_)
        for id_ in asked
    }


class Sampled(NamedTuple):
    """What a review says of its sample.

    Attributes
    ----------
    run : KnownRun
    sample, passed : int or None
        Items that were looked at, and those that passed; None: not recorded.
    """

    run: KnownRun
    sample: int | None
    passed: int | None

    @classmethod
    def of(cls, run: KnownRun) -> Sampled:
        """Read the facts ``sample`` and ``passed``."""
        return cls(run, count(run.fact("sample")), count(run.fact("passed")))

    def lacking(self) -> Iterator[Finding]:
        """Say what isn't recorded, or makes no sense."""
        if not self.sample:
            yield self.run.lacks("sample", "how many items were looked at")
        if self.passed is None:
            yield self.run.lacks("passed", "how many items passed")
        if self.sample and self.passed is not None and self.passed > self.sample:
            yield self.run.fails(f"{self.passed} of {self.sample} items passed, which can't be")

    def wrong_seed(self, case: Case) -> Iterator[Finding]:
        """Compare its seed with the one that follows from what was sampled."""
        wanted = seed_of(read_files(case, self.run))
        hint = f"draw the sample with the seed that follows from the content: --seed {wanted}"
        given = (self.run.run.seed or "").strip()
        if not given:
            said = f"run {self.run.run.name}: with which seed the sample was drawn is not recorded"
            yield Finding(self.run.subject, said, hint, Outcome.INCOMPLETE)
        elif given != wanted:
            yield self.run.fails(f"its sample was drawn with the seed {given[:40]}, not with {wanted}", hint)


def count(text: str | None) -> int | None:
    """Read a number from 0 on; None where it is none, or more than anybody could have looked at."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        return None
    return int(text)
