"""Rules over grants: what makers of synthetic data allow, and for whom and what data were handed over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsvc.lineage.validation import Finding, Outcome, run_subject, source_subject
from dsvc.model.run_record import RunId, RunKind
from dsvc.model.source_record import Acquisition, SourceRecord
from dsvc.policy.case import Case
from dsvc.policy.licence_facts import LicenceFacts
from dsvc.policy.licence_settings import normal_word
from dsvc.policy.licence_vector import NO, UNDETERMINED, YES, Permission, Vector, permission
from dsvc.policy.recorded_runs import unread
from dsvc.policy.rule import Rule, Terms

TRAINING: Final = frozenset(
    {
        "training",
        "ai_training",
        "model_training",
        "pre_training",
        "ai_pre_training",
        "fine_tuning",
        "ai_fine_tuning",
        "alignment",
        "ai_alignment",
    }
)
"""Words for training a model among purposes; those of the Data Provenance Standards, and common ones."""
_GENERATES: Final = frozenset({RunKind.SYNTHESIZE, RunKind.AUGMENT})
_NEEDED: Final = {
    "guarantee": ("consumers_allowed",),
    "custom": ("purposes_allowed", "consumers_allowed", "expiry"),
}
"""What a grant must name by its mode of operation."""


class GeneratorTerms(Rule):
    """Terms of a generator allow training with what it makes."""

    id = "LIC-06"
    settled_by = "compliance_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for what breaks it."""
        yield from unread(case)
        facts = case.licences
        for name in facts.names:
            if any(_is_synthetic(record) for record in facts.folds.sources.get(name, ())):
                found = self._terms(facts, [name])
                if found is not YES:
                    yield self._finding(source_subject(name), f"source {name}", facts.shown([name]), found)
        for id_ in case.judged.closure.runs:
            yield from self._run(case, facts, id_)

    def _run(self, case: Case, facts: LicenceFacts, id_: RunId) -> Iterator[Finding]:
        run = case.judged.origins.runs.run(id_)
        generator = run.facts.get("generator")
        if run.kind not in _GENERATES or (generator is None and run.kind is RunKind.AUGMENT):
            return
        subject, what = run_subject(bytes(id_)), f"run {run.name}"
        if generator is None:
            message = f"{what} made data, and doesn't say with which generator"
            yield Finding(subject, message, "--fact generator=… says so", Outcome.INCOMPLETE)
            return
        sources = [
            name
            for name, records in facts.folds.sources.items()
            if any(_same(each.fields.get("generator"), generator) for each in records)
        ]
        if not sources:
            message = f"{what}: the terms of generator {generator} are not recorded"
            hint = f"dsvc source add … --acquisition synthetic --field generator={generator} records them"
            yield Finding(subject, message, hint, Outcome.INCOMPLETE)
            return
        found = self._terms(facts, sources)
        if found is not YES:
            yield self._finding(subject, what, facts.shown(sources), found)

    @staticmethod
    def _terms(facts: LicenceFacts, names: list[str]) -> Permission:
        return permission(facts.folds.of(names), _allows_training)

    @staticmethod
    def _finding(subject: bytes, what: str, named: str, found: Permission) -> Finding:
        if found is NO:
            return Finding(subject, f"{what}: terms of its generator do not allow training: {named}")
        message = f"{what}: whether terms of its generator allow training isn't known: {named}"
        hint = "purposes_allowed of the source, or [policy.licences] in dsvc.toml, says what they allow"
        return Finding(subject, message, hint, Outcome.INCOMPLETE)


def _is_synthetic(record: SourceRecord) -> bool:
    return record.acquisition is Acquisition.SYNTHETIC or record.fields.get("synthetic") == "yes"


def _same(stated: object, generator: str) -> bool:
    return stated is not None and normal_word(str(stated)) == normal_word(generator)


def _allows_training(vector: Vector) -> Permission:
    found = min(vector.use, vector.adapt)
    if vector.forbidden & TRAINING or (vector.purposes is not None and not vector.purposes & TRAINING):
        return NO
    return found


class Granted(Rule):
    """A grant names who may use the data, for what and until when, and these are what is meant."""

    id = "LIC-07"
    settled_by = "compliance_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for what breaks it."""
        yield from unread(case)
        facts = case.licences
        for name in facts.names:
            for record in facts.folds.sources.get(name, ()):
                for found, message, hint in _grant(case, record):
                    outcome = Outcome.FAIL if found is NO else Outcome.INCOMPLETE
                    yield Finding(source_subject(name), f"source {name}: {message}", hint, outcome)


_Answer = tuple[Permission, str, str]


def _grant(case: Case, record: SourceRecord) -> Iterator[_Answer]:
    settings, fields = case.settings, record.fields
    mode = fields.get("operating_mode")
    for field in _NEEDED.get(str(mode), ()):
        if not fields.get(field):
            hint = f"dsvc source set {record.source_id} --field {field}=…"
            yield UNDETERMINED, f"a grant in mode {mode} names {field}, this one doesn't", hint
    if mode is not None and settings.operating_mode is not None and mode != settings.operating_mode:
        yield NO, f"it is granted in mode {mode}, not {settings.operating_mode}", ""
    yield from _among(fields.get("consumers_allowed"), settings.consumer, "consumer")
    yield from _among(fields.get("territory"), settings.region, "region")
    if mode is not None:
        yield from _among(fields.get("purposes_allowed"), settings.purpose, "purpose")
    expiry = fields.get("expiry")
    if expiry is not None and str(expiry)[:10] < case.day:
        yield NO, f"its grant ended on {str(expiry)[:10]}", "agree on a new one, or withdraw the source"


def _among(allowed: object, meant: str | None, what: str) -> Iterator[_Answer]:
    """Look whether what is meant is among what is allowed, where that is limited."""
    if allowed is None:
        return
    words = [str(each) for each in allowed] if isinstance(allowed, list | tuple) else []
    hint = f"[policy] {what} in dsvc.toml says it"
    if not meant:
        yield UNDETERMINED, f"it is limited to {what} {', '.join(words)}, and none is stated", hint
    elif normal_word(meant) not in {normal_word(each) for each in words}:
        yield NO, f"{what} {meant} is not among {', '.join(words) or 'none'}", hint


RULES: Final = (GeneratorTerms(), Granted())
