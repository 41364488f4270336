"""Rules over content: samples that people and tools have looked at, the list of words, secrets, poisoning."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final

from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.validation import Finding, Outcome
from dsvc.model.detection import DetectionStatus
from dsvc.model.manifest import Entry, Kind
from dsvc.model.paths import display_path
from dsvc.model.run_record import RunKind
from dsvc.policy.case import Case
from dsvc.policy.detectors.set_options import columns_option
from dsvc.policy.labelled import labelled_files
from dsvc.policy.recorded_runs import KnownRun, runs_of, unread
from dsvc.policy.reviews import Sampled, covered, final_files, items_of, seed_of
from dsvc.policy.rule import Parameter, Rule, Stricter, Terms
from dsvc.policy.sampling import clopper_pearson
from dsvc.policy.table_questions import LOOK_AGAIN, Question, answers, columns_of, counted, places

if TYPE_CHECKING:
    from dsvc.policy.detectors.detector import Wanted

_NAMED: Final = 5
_REVIEW: Final = "dsvc run --kind review --fact aspect=safety review={level} sample=… passed=… verdict=…"


class _SampleRule(Rule):
    """A sample of all that is given out was looked at for safety, and enough of it passed."""

    level: ClassVar[str]
    seeded: ClassVar[bool] = False
    """Whether the sample must be drawn with the seed that follows from the content."""

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for the newest review of each file."""
        yield from unread(case)
        by_review, uncovered = self._by_review(case)
        if uncovered:
            names = ", ".join(display_path(entry.path) for entry in uncovered[:_NAMED])
            more = f" and {len(uncovered) - _NAMED} more" if len(uncovered) > _NAMED else ""
            yield Finding(
                b"",
                f"no {self.level} sample was looked at for safety of {names}{more}",
                self._hint(uncovered),
                Outcome.INCOMPLETE,
            )
        for run, entries in by_review:
            yield from self._sample(case, terms, Sampled.of(run), items_of(entries))

    def _hint(self, entries: Iterable[Entry]) -> str:
        hint = _REVIEW.format(level=self.level)
        if not self.seeded:
            return hint
        seed = seed_of(ArtifactNode(entry.path, entry.digest) for entry in entries)
        return f"{hint} --seed {seed}, which follows from these files"

    def _by_review(self, case: Case) -> tuple[list[tuple[KnownRun, list[Entry]]], list[Entry]]:
        reviews = [
            each
            for each in runs_of(case, RunKind.REVIEW)
            if each.fact("aspect") == "safety" and each.fact("review") == self.level
        ]
        newest: dict[ArtifactNode, KnownRun] = {}
        for run in reviews:
            newest.update(dict.fromkeys(covered(case, run), run))
        found: dict[bytes, tuple[KnownRun, list[Entry]]] = {}
        uncovered = []
        for entry in final_files(case):
            run_of = newest.get(ArtifactNode(entry.path, entry.digest))
            if run_of is None:
                uncovered.append(entry)
            else:
                found.setdefault(run_of.id, (run_of, []))[1].append(entry)
        return list(found.values()), uncovered

    def _sample(self, case: Case, terms: Terms, sampled: Sampled, items: int) -> Iterator[Finding]:
        yield from sampled.lacking()
        if sampled.run.fact("verdict") == "fail":
            yield sampled.run.fails("who looked at it says that it did not pass")
        if sampled.sample:
            least = self._least(terms, items)
            if sampled.sample < least:
                said = f"{sampled.sample:,} of {items:,} items were looked at; at least {least:,} must be"
                yield sampled.run.fails(said, _REVIEW.format(level=self.level))
            if sampled.passed is not None:
                yield from _rate(sampled.run, sampled.passed, sampled.sample, terms.number("pass_rate"))
        if self.seeded:
            yield from sampled.wrong_seed(case)

    @abstractmethod
    def _least(self, terms: Terms, items: int) -> int:
        """How many items must have been looked at."""


def _rate(run: KnownRun, passed: int, sample: int, least: float) -> Iterator[Finding]:
    # Compared as whole numbers: 96 % of 4,000 are 3,840, whatever a fraction rounds to.
    if passed * 1_000_000 >= round(least * 1_000_000) * sample:
        return
    low, high = clopper_pearson(passed, sample)
    yield run.fails(
        f"{passed:,} of {sample:,} items passed, {passed / sample:.2%} "
        f"(95% interval {low:.2%} to {high:.2%}); at least {least:.0%} must",
        "take out what did not pass and what is like it, then draw a new sample",
    )


class ManualSample(_SampleRule):
    """People have looked at a sample that nobody could choose, and enough of it passed."""

    id = "SAFE-01"
    settled_by = "expert"
    level = "expert"
    seeded = True
    parameters: ClassVar = MappingProxyType(
        {
            "sample": Parameter(4000, Stricter.HIGHER, "items"),
            "pass_rate": Parameter(0.96, Stricter.HIGHER, "share"),
        }
    )

    def _least(self, terms: Terms, items: int) -> int:
        return min(int(terms.number("sample")), items)


class TechnicalSample(_SampleRule):
    """Key words and classifiers have looked at a share of everything, and enough of it passed."""

    id = "SAFE-02"
    level = "automatic"
    scans = ("words",)
    parameters: ClassVar = MappingProxyType(
        {
            "share": Parameter(0.1, Stricter.HIGHER, "share"),
            "pass_rate": Parameter(0.98, Stricter.HIGHER, "share"),
        }
    )

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at the reviews, and at what has words of the list where one is named."""
        yield from super().find(case, terms)
        if case.settings.words is None:
            return
        allowed = 1_000_000 - round(terms.number("pass_rate") * 1_000_000)
        for entry, found in case.detections.unclean("words"):
            if entry.path == case.settings.words.encode():
                continue
            if found.status is not DetectionStatus.HITS:
                said = f"whether it has sensitive words can't be told: {found.reason}"
                yield Finding(entry.path, said, LOOK_AGAIN, Outcome.INCOMPLETE)
                continue
            # Hits, not records, are counted: a record may have several, and none is overlooked.
            hits, records = sum(found.counts.values()), max(items_of([entry]), 1)
            if hits * 1_000_000 > allowed * records:
                said = (
                    f"it has {hits:,} words of the list in {records:,} records, of which "
                    f"{terms.number('pass_rate'):.0%} must be free of them: {counted(found)}{places(found)}"
                )
                yield Finding(entry.path, said, "take out these records, with a run of kind filter or redact")

    def _least(self, terms: Terms, items: int) -> int:
        # Rounded up, in whole numbers.
        return -(-items * round(terms.number("share") * 1_000_000) // 1_000_000)


class CurrentWords(Rule):
    """The list of sensitive words is large enough, has words of each risk, and is up to date."""

    id = "SAFE-03"
    settled_by = "compliance_officer"
    parameters: ClassVar = MappingProxyType(
        {
            "words": Parameter(10_000, Stricter.HIGHER, "words"),
            "a1_risks": Parameter(8, Stricter.HIGHER, "risks"),
            "a1_words": Parameter(200, Stricter.HIGHER, "words"),
            "a2_risks": Parameter(9, Stricter.HIGHER, "risks"),
            "a2_words": Parameter(100, Stricter.HIGHER, "words"),
            "days": Parameter(7, Stricter.LOWER, "days"),
        }
    )

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Count words of all risks; those of appendix A.1 and A.2 are called ``A.1…`` and ``A.2…``."""
        words = case.word_list
        subject = (case.settings.words or "").encode()
        if words is None:
            said = "there is no list of sensitive words, or it can't be read"
            yield Finding(subject, said, '[policy] words = "PATH" in dsvc.toml names it', Outcome.INCOMPLETE)
            return
        if words.words < terms.number("words"):
            said = (
                f"the list of words has {words.words:,}; at least {terms.number('words'):,.0f} are asked for"
            )
            yield Finding(subject, said)
        yield from _risks(subject, words.risks, terms)
        yield from _age(subject, words.updated, case.day, terms.number("days"))


def _risks(subject: bytes, risks: Mapping[str, int], terms: Terms) -> Iterator[Finding]:
    for table in ("a1", "a2"):
        own = {name: n for name, n in risks.items() if _plain(name).startswith(table)}
        wanted, least = terms.number(f"{table}_risks"), terms.number(f"{table}_words")
        title = f"{table[0].upper()}.{table[1]}"
        if len(own) < wanted:
            said = f"the list has words of {len(own)} risks of {title}; there are {wanted:g}"
            yield Finding(subject, said, f"its risks are called {title}.1 and so on", Outcome.INCOMPLETE)
        few = sorted(name for name, count in own.items() if count < least)
        if few:
            yield Finding(subject, f"the list has fewer than {least:g} words of {', '.join(few)}")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _age(subject: bytes, updated: str | None, day: str, days: float) -> Iterator[Finding]:
    hint = "bring it up to date, and say so in its head"
    try:
        age = (date.fromisoformat(day) - date.fromisoformat(updated or "")).days
    except ValueError:
        said = "the list of words doesn't say when it was brought up to date"
        yield Finding(subject, said, hint, Outcome.INCOMPLETE)
        return
    if age < 0:
        said = f"the list of words is said to be of {updated}, which is to come"
        yield Finding(subject, said, hint, Outcome.INCOMPLETE)
    elif age > days:
        yield Finding(subject, f"the list of words is {age} days old; {days:g} are allowed", hint)


class NoSecrets(Rule):
    """No file has a secret in it."""

    id = "SAFE-04"
    scans = ("secrets",)

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at what the detector of secrets says of each file."""
        for entry, found in case.detections.unclean("secrets"):
            if found.status is DetectionStatus.HITS:
                yield Finding(
                    entry.path,
                    f"it has secrets: {counted(found)}{places(found)}",
                    "revoke them, and take them out of the data",
                )
            else:
                said = f"whether it has secrets can't be told: {found.reason}"
                yield Finding(entry.path, said, LOOK_AGAIN, Outcome.INCOMPLETE)


class NotPoisoned(Rule):
    """Nobody has planted rows: no bursts of near-duplicates, no words that turn labels, no flipped labels."""

    id = "SAFE-05"

    def wants(self, case: Case, terms: Terms) -> Iterable[Wanted]:
        """Ask for the screens of each table."""
        return [each.wanted for each in _screens(case) if each.wanted is not None]

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at what they say; which column holds the content must be declared."""
        yield from answers(case, _screens(case), "it looks poisoned")


def _screens(case: Case) -> list[Question]:
    """Ask about each table, beside its version before: of files that are none, no screen is known."""
    labelled = labelled_files(case)
    return [
        _screen(case, entry, (entry.path, entry.digest) in labelled)
        for entry in case.entries
        if entry.kind == Kind.TABLE
    ]


def _screen(case: Case, entry: Entry, is_labelled: bool) -> Question:
    roles: tuple[str, ...] = ("content",)
    options: dict[str, str] = {}
    before = case.previous(entry.path)
    entries = [entry]
    if is_labelled or columns_of(case, entry, "label"):
        roles = ("content", "label")
        if before is not None and before.digest != entry.digest and before.kind == Kind.TABLE:
            entries.append(before)
            options["previous"] = "1"
    else:
        # Without labels there are none that could be turned.
        options["screens"] = "burst"
    key = case.tables.for_path(entry.path).key
    if key:
        options["key"] = columns_option(key)
    others = ("source", "batch", "annotator")
    return Question.of_set(case, entry.path, entries, "poisoning", roles, others=others, options=options)


RULES: Final = (
    ManualSample(),
    TechnicalSample(),
    CurrentWords(),
    NoSecrets(),
    NotPoisoned(),
)
