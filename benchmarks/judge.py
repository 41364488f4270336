"""The figures dsvc must reach, judged against what was measured.

Times have a tolerance of 10% for noise; sizes and memory have none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.feedback_judge import judge_feedback
from benchmarks.judge_alone import judge_alone
from benchmarks.policy_judge import judge_policy
from benchmarks.provenance_judge import judge_provenance
from benchmarks.reliability_judge import judge_reliability
from benchmarks.results import FIRST, SECOND, SpecialResult, WorkloadResult
from benchmarks.tables_judge import judge_tables
from benchmarks.verdict import MIB, TOLERANCE, Verdict, at_most, mebibytes, megabytes, missing, seconds

SUBJECT = "dsvc"
# Shown, not judged: nobody has the compiled module of Oxen without its package.
NOT_PEERS = (SUBJECT, "oxen-bare")
VERSIONING_PEERS = ("dvc", "oxen")
SECOND_COMMIT_PEERS = ("dvc", "oxen", "restic", "borg", "borg-lz4")
STEP_NAMES = {
    FIRST: "first commit",
    SECOND: "second commit",
    ("add_unchanged",): "add, nothing changed",
    ("status_unchanged",): "status, nothing changed",
    ("checkout",): "checkout of the version before",
    ("restore",): "full restore",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """One workload."""

    result: WorkloadResult

    def _figure(self, steps: Sequence[str]) -> str:
        return f"{STEP_NAMES[tuple(steps)]}, {self.result.workload}"

    def _peers(self) -> list[str]:
        return [tool for tool in self.result.tools() if tool not in NOT_PEERS]

    def correct(self) -> Verdict:
        """Every step of every round ended well, and version 1 came back byte for byte."""
        runs = [run for run in self.result.runs if run.tool == SUBJECT]
        figure, bound = f"every step, {self.result.workload}", "ends well, and brings the same bytes back"
        if not runs:
            return missing(figure, bound)
        problems = [run.problem.splitlines()[0] for run in runs if run.problem]
        measured = problems[0] if problems else f"{len(runs)} rounds"
        return Verdict(figure=figure, bound=bound, measured=measured, met=not problems)

    def speed(self, steps: Sequence[str], times: float, peers: Iterable[str] | None = None) -> Verdict:
        """At least `times` as fast as the fastest of the peers (of all where none are named)."""
        named = list(self._peers() if peers is None else peers)
        whom = "the fastest peer" if peers is None else f"the fastest of {', '.join(named)}"
        if len(named) == 1:
            whom = named[0]
        bound = f"not slower than {whom}" if times == 1 else f"at least {times:g} times as fast as {whom}"
        if times < 1:
            bound = f"at most {1 / times:g} times the time of {whom}"
        own = self.result.seconds(SUBJECT, *steps)
        found = [(taken, peer) for peer in named if (taken := self._peer_seconds(peer, steps)) is not None]
        if own is None or not found:
            return missing(self._figure(steps), bound)
        taken, peer = min(found)
        return Verdict(
            figure=self._figure(steps),
            bound=bound,
            measured=f"{taken / own:.2f} times ({seconds(own)}; {peer} {seconds(taken)})",
            met=taken / own * TOLERANCE >= times,
        )

    def _peer_seconds(self, peer: str, steps: Sequence[str]) -> float | None:
        return self.result.seconds(peer, *steps) if peer in self.result.tools() else None

    def within_git(self, steps: Sequence[str], times: float = 2.5, or_seconds: float = 0.0) -> Verdict:
        """At most `times` git's time, or at most `or_seconds`."""
        bound = f"at most {times:g} times git's time" + (f", or {or_seconds:g} s" if or_seconds else "")
        own, git = self.result.seconds(SUBJECT, *steps), self._peer_seconds("git", steps)
        if own is None or git is None:
            return missing(self._figure(steps), bound)
        return Verdict(
            figure=self._figure(steps),
            bound=bound,
            measured=f"{own / git:.2f} times ({seconds(own)}; git {seconds(git)})",
            met=own <= max(times * git, or_seconds) * TOLERANCE,
        )

    def below(self, steps: Sequence[str], limit_s: float) -> Verdict:
        """At most so many seconds."""
        own = self.result.seconds(SUBJECT, *steps)
        return at_most(self._figure(steps), own, limit_s, seconds, tolerance=TOLERANCE)

    def size(self, times: float, peers: Iterable[str] | None = None) -> Verdict:
        """At most `times` the bytes of the smallest of the peers, after the first commit."""
        named = list(self._peers() if peers is None else peers)
        whom = "the smallest peer" if peers is None else " and ".join(named)
        bound = f"at most {times:g} times the bytes of {whom}"
        figure = f"size after the first commit, {self.result.workload}"
        own = self.result.size_bytes(SUBJECT, "commit_1")
        found = [
            (size, peer) for peer in named if (size := self.result.size_bytes(peer, "commit_1")) is not None
        ]
        if own is None or not found:
            return missing(figure, bound)
        size, peer = min(found)
        return Verdict(
            figure=figure,
            bound=bound,
            measured=f"{own / size:.3f} times ({megabytes(own)}; {peer} {megabytes(size)})",
            met=own <= times * size,
        )

    def growth(self, limit_bytes: float) -> Verdict:
        """The second commit adds at most so many bytes."""
        first, second = (self.result.size_bytes(SUBJECT, commit) for commit in ("commit_1", "commit_2"))
        grown = None if first is None or second is None else float(second - first)
        figure = f"bytes added by the second commit, {self.result.workload}"
        return at_most(figure, grown, limit_bytes, megabytes)

    def memory(self) -> Verdict:
        """The largest peak of all steps."""
        peak = self.result.peak_bytes(SUBJECT)
        return at_most(f"peak memory, every step, {self.result.workload}", peak, 512 * MIB, mebibytes)


def _correct(judges: Mapping[str, _Judge]) -> Iterable[Verdict]:
    for judge in judges.values():
        yield judge.correct()


def _first_commit(judges: Mapping[str, _Judge]) -> Iterable[Verdict]:
    yield judges["images"].speed(FIRST, 2.5)
    yield judges["small"].speed(FIRST, 3)
    yield judges["small"].speed(FIRST, 10, VERSIONING_PEERS)
    yield judges["small"].size(0.65)
    for name in ("jsonl", "parquet"):
        yield judges[name].speed(FIRST, 1)
    yield judges["jsonl"].size(0.25, ["oxen"])
    yield judges["jsonl"].size(1.1, ["borg"])


def _second_commit(judges: Mapping[str, _Judge]) -> Iterable[Verdict]:
    for judge in judges.values():
        yield judge.speed(SECOND, 1, SECOND_COMMIT_PEERS)
    for name in ("images", "small"):
        yield judges[name].within_git(SECOND)
    yield judges["jsonl"].growth(3e6)
    yield judges["small"].growth(1.5e6)


def _nothing_changed(judges: Mapping[str, _Judge]) -> Iterable[Verdict]:
    for step in (("add_unchanged",), ("status_unchanged",)):
        yield judges["small"].within_git(step)
        yield judges["small"].speed(step, 2.5, VERSIONING_PEERS)
        for name in ("images", "jsonl", "parquet"):
            yield judges[name].below(step, 0.3)


def _bringing_back(judges: Mapping[str, _Judge]) -> Iterable[Verdict]:
    for judge in judges.values():
        yield judge.speed(("checkout",), 1, VERSIONING_PEERS)
        yield judge.within_git(("checkout",), or_seconds=0.3)
    for name in ("images", "small"):
        yield judges[name].speed(("restore",), 1)
    for name in ("jsonl", "parquet"):
        yield judges[name].speed(("restore",), 0.8)


def _memory(judges: Mapping[str, _Judge]) -> Iterable[Verdict]:
    for judge in judges.values():
        yield judge.memory()


_GROUPS: tuple[Callable[[Mapping[str, _Judge]], Iterable[Verdict]], ...] = (
    _correct,
    _first_commit,
    _second_commit,
    _nothing_changed,
    _bringing_back,
    _memory,
)


def judge_all(
    workloads: Mapping[str, WorkloadResult], specials: Mapping[str, SpecialResult | None]
) -> list[Verdict]:
    """Every figure that has to be reached, in the order of the requirements."""
    verdicts: list[Verdict] = []
    if set(workloads) == {"images", "small", "jsonl", "parquet"}:
        judges = {name: _Judge(result=result) for name, result in workloads.items()}
        for group in _GROUPS:
            verdicts.extend(group(judges))
    return [
        *verdicts,
        *judge_alone(specials),
        *judge_tables(specials),
        *judge_provenance(specials.get("provenance")),
        *judge_policy(specials.get("policy")),
        *judge_feedback(specials.get("feedback")),
        *judge_reliability(specials.get("reliability")),
    ]
