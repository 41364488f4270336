"""Rules over labels: by which rules and by whom they were made, how they were reviewed, if they conflict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final

from dsvc.lineage.evidence import is_valid
from dsvc.lineage.validation import Finding, Outcome, source_subject
from dsvc.model.run_record import Role, RunKind
from dsvc.model.source_record import Acquisition
from dsvc.policy.case import Case
from dsvc.policy.labelled import labelled_files
from dsvc.policy.recorded_runs import KnownRun, runs_of, unread
from dsvc.policy.reviews import Sampled, runs_behind
from dsvc.policy.rule import Parameter, Rule, Stricter, Terms
from dsvc.policy.table_questions import Question, answers, columns_of

if TYPE_CHECKING:
    from dsvc.policy.detectors.detector import Wanted

LEVELS: Final = ("automatic", "cross", "expert")
"""Levels of review, lowest first."""
_RULES: Final = "annotation_rules"
_UNTIL: Final = re.compile(r"\.\.(\d{4}-\d{2}-\d{2})\Z", re.ASCII)


class RulesCited(Rule):
    """Each batch of labels cites the version of the rules by which it was made, and these are kept."""

    id = "ANN-01"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at label runs and at sources that are the output of annotation."""
        yield from unread(case)
        batches: dict[str, str] = {}
        runs = runs_of(case, RunKind.LABEL)
        kept = _kept_rules(case)
        for run in runs:
            rules, batch = run.fact("rules"), run.fact("batch")
            if rules is None:
                yield run.lacks("rules", "by which version of the rules it labelled")
            if batch is None:
                yield run.lacks("batch", "which batch it labelled")
            elif rules is not None and batches.setdefault(batch, rules) != rules:
                said = f"batch {batch} was labelled by rules {batches[batch]} and by {rules}"
                yield run.fails(said, "a change of the rules opens a new batch")
            if not (kept or any(each.role is Role.LOOKUP for each in run.run.inputs)):
                said = f"run {run.run.name}: the rules by which it labelled are not kept"
                hint = f"dsvc source set ID --evidence {_RULES}=FILE, or dsvc run --lookup FILE"
                yield Finding(run.subject, said, hint, Outcome.INCOMPLETE)
        yield from _labelled_elsewhere(case)


def _kept_rules(case: Case) -> bool:
    """Whether some source has rules of annotation among its evidence that hold on the day."""
    return any(
        each.type == _RULES and is_valid(each, case.day)
        for source in case.sources
        for _, record in case.stated(source)
        for each in record.evidence
    )


def _labelled_elsewhere(case: Case) -> Iterator[Finding]:
    for source in case.sources:
        subject = source_subject(source.id)
        for _, record in case.stated(source):
            if record.acquisition is not Acquisition.ANNOTATION_OUTPUT:
                continue
            if "rules_version" in record.undetermined or not record.fields.get("rules_version"):
                said = f"source {source.id}: by which version of the rules it was labelled is not recorded"
                hint = f"dsvc source set {source.id} --field rules_version=…"
                yield Finding(subject, said, hint, Outcome.INCOMPLETE)
            rules = [each for each in record.evidence if each.type == _RULES]
            if not rules:
                said = f"source {source.id}: the rules by which it was labelled are not kept"
                hint = f"dsvc source set {source.id} --evidence {_RULES}=FILE"
                yield Finding(subject, said, hint, Outcome.INCOMPLETE)
            elif not any(is_valid(each, case.day) for each in rules):
                yield Finding(
                    subject, f"source {source.id}: its rules of annotation don't hold on {case.day}"
                )


class Separated(Rule):
    """Who reviews labels did not make them, and who makes them is qualified."""

    id = "ANN-02"
    settled_by = "reviewer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Compare people of label runs with those of the reviews that come after them."""
        yield from unread(case)
        labels = runs_of(case, RunKind.LABEL)
        reviews = _by_label(case, labels)
        for run in labels:
            yield from _annotator(run)
            made = _people(run, "annotator")
            checked = {name for each in (run, *reviews[run.id]) for name in _people(each, "reviewer")}
            for name in sorted(made & checked):
                yield run.fails(f"{name} reviewed what they had labelled", "let somebody else review it")
        for run in {each.id: each for found in reviews.values() for each in found}.values():
            if run.fact("review") != "automatic" and run.fact("reviewer") is None:
                yield run.lacks("reviewer", "who reviewed")


def _annotator(run: KnownRun) -> Iterator[Finding]:
    if run.fact("by") == "model":
        return
    if run.fact("annotator") is None:
        yield run.lacks("annotator", "who labelled")
    qualification = run.fact("qualification")
    if qualification is None:
        yield run.lacks("qualification", "how the annotator is qualified")
        return
    until = _UNTIL.search(qualification)
    if until is not None and until[1] < run.run.started_at[:10]:
        yield run.fails(
            f"the qualification of the annotator held until {until[1]}",
            "--fact qualification=ID..YYYY-MM-DD says until when it holds",
        )


def _people(run: KnownRun, role: str) -> set[str]:
    return {name.strip() for name in (run.fact(role) or "").split(",") if name.strip()}


def _by_label(case: Case, labels: Sequence[KnownRun]) -> dict[bytes, list[KnownRun]]:
    """Reviews of the output of each label run, oldest first; those of other aspects are left out."""
    found: dict[bytes, list[KnownRun]] = {run.id: [] for run in labels}
    reviews = [each for each in runs_of(case, RunKind.REVIEW) if each.fact("aspect") in ("labels", None)]
    behind = runs_behind(case, [run.id for run in labels], [review.id for review in reviews])
    for review in reviews:
        for id_ in behind[review.id]:
            found[id_].append(review)
    return found


class Sampling(Rule):
    """Labels are checked on a sample; those for safety all of them."""

    id = "ANN-03"
    settled_by = "reviewer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for a review of the output of each label run."""
        yield from unread(case)
        labels = runs_of(case, RunKind.LABEL)
        for id_, reviews in _by_label(case, labels).items():
            run = next(each for each in labels if each.id == id_)
            checked = [each for each in reviews if each.fact("review") != "automatic"]
            if not checked:
                said = f"run {run.run.name}: nobody has checked its labels"
                hint = "dsvc run --kind review --fact review=cross verdict=pass sample=…"
                yield Finding(run.subject, said, hint, Outcome.INCOMPLETE)
                continue
            yield from _verdict(checked[-1])
            if run.fact("purpose") != "functional":
                yield from _all_checked(case, run, checked)


def _verdict(review: KnownRun) -> Iterator[Finding]:
    if not Sampled.of(review).sample:
        yield review.lacks("sample", "how many items were looked at")
    verdict = review.fact("verdict")
    if verdict is None:
        yield review.lacks("verdict", "what came of the review")
    elif verdict != "pass":
        yield review.fails("the labels did not pass", "correct them, and review them again")


def _all_checked(case: Case, run: KnownRun, reviews: Iterable[KnownRun]) -> Iterator[Finding]:
    """Ask for a review of each item; where it isn't known what the labels are for, too."""
    items = sum(1 if each.records is None else each.records for each in run.run.outputs)
    looked = max(Sampled.of(each).sample or 0 for each in reviews)
    if looked >= items:
        return
    if run.fact("purpose") is None:
        said = f"run {run.run.name}: whether its labels are functional or for safety is not recorded"
        yield Finding(run.subject, said, "--fact purpose=functional, or safety", Outcome.INCOMPLETE)
    else:
        said = f"{looked} of {items} items that are labelled for safety were reviewed"
        yield run.fails(said, "each needs a reviewer")


class Levels(Rule):
    """Labels are reviewed by rules, by several annotators and by experts, and these agree."""

    id = "ANN-04"
    settled_by = "expert"
    parameters: ClassVar = MappingProxyType({"agreement": Parameter(0.7, Stricter.HIGHER, "coefficient")})

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for the newest review of each level of each label run."""
        yield from unread(case)
        labels = runs_of(case, RunKind.LABEL)
        reviews = _by_label(case, labels)
        for run in labels:
            newest = {each.fact("review"): each for each in reviews[run.id]}
            for level in LEVELS:
                review = newest.get(level)
                if review is None:
                    said = f"run {run.run.name}: its labels have no {level} review"
                    hint = f"dsvc run --kind review --fact review={level} verdict=pass …"
                    yield Finding(run.subject, said, hint, Outcome.INCOMPLETE)
                elif review.fact("verdict") is None:
                    yield review.lacks("verdict", "what came of the review")
                elif review.fact("verdict") != "pass":
                    yield review.fails(f"the labels did not pass the {level} review")
            if "cross" in newest:
                yield from _agreement(newest["cross"], terms.number("agreement"))


def _agreement(review: KnownRun, least: float) -> Iterator[Finding]:
    try:
        value = float(review.fact("agreement") or "nan")
    except ValueError:
        value = float("nan")
    if not -1 <= value <= 1:
        yield review.lacks("agreement", "how far annotators agree")
    elif value < least:
        metric = review.fact("agreement_metric") or "agreement"
        yield review.fails(f"{metric} is {value:g}; at least {least:g} is asked for")


class Unconflicted(Rule):
    """No item has two labels."""

    id = "ANN-05"
    settled_by = "reviewer"

    def wants(self, case: Case, terms: Terms) -> Iterable[Wanted]:
        """Ask for conflicting labels in each table with labels."""
        return [each.wanted for each in self._questions(case) if each.wanted is not None]

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at what the detector says of each."""
        yield from unread(case)
        yield from answers(case, self._questions(case), "items have conflicting labels")

    @staticmethod
    def _questions(case: Case) -> list[Question]:
        labelled = labelled_files(case)
        found = []
        for entry in case.entries:
            declares = bool(columns_of(case, entry, "label"))
            if entry.rows is not None and (declares or (entry.path, entry.digest) in labelled):
                found.append(Question.of(case, entry, "label_conflicts", ("content", "label")))
        return found


RULES: Final = (RulesCited(), Separated(), Sampling(), Levels(), Unconflicted())
