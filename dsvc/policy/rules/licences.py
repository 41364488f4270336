"""Rules over licences: that they are known, permit what the data are for, and go together.

Data that are not said to stay with those who made them (``[policy] shared = false``) count as shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.license_text import LicenseExpressionError, check_license
from dsvc.lineage.source_fields import UNDETERMINED as NO_EXPRESSION
from dsvc.lineage.validation import Finding, Outcome, artifact_subject, shown, source_subject
from dsvc.model.paths import display_path
from dsvc.policy.case import Case
from dsvc.policy.licence_facts import LicenceFacts
from dsvc.policy.licence_fold import permits_use
from dsvc.policy.licence_terms import Declared, choices_of
from dsvc.policy.licence_vector import NO, UNDETERMINED, YES, Choices, Permission, Vector, choose, permission
from dsvc.policy.notices import notice_of
from dsvc.policy.recorded_runs import unread
from dsvc.policy.rule import Rule, Terms
from dsvc.policy.share_alike import Sharing, best_sharing, permits_output, sharing_of

_PURPOSE: Final = '[policy] purpose in dsvc.toml says what the data are for, as in "research" or "commercial"'
_STATE: Final = "dsvc source set ID --license SPDX states it, [policy.licences] one of your own"


def _outcome(found: Permission) -> Outcome:
    return Outcome.FAIL if found is NO else Outcome.INCOMPLETE


def _is_shared(case: Case) -> bool:
    return case.settings.shared is not False


class Readable(Rule):
    """The licence of each source can be read, and names no licence that nobody knows."""

    id = "LIC-01"
    settled_by = "source_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for what breaks it."""
        yield from unread(case)
        for source in case.sources:
            subject = source_subject(source.id)
            hint = f"dsvc source set {source.id} --license SPDX"
            for _, record in case.stated(source):
                if "license_expression" in record.undetermined:
                    message = f"two licences of source {source.id} met in a merge, and none is settled"
                    yield Finding(subject, message, hint, Outcome.INCOMPLETE)
                elif record.license_expression == NO_EXPRESSION:
                    message = f"the licence of source {source.id} is not determined"
                    yield Finding(subject, message, hint, Outcome.INCOMPLETE)
                else:
                    try:
                        check_license(record.license_expression)
                    except LicenseExpressionError as error:
                        yield Finding(subject, f"licence of source {source.id}: {error.message}", hint)


class Permitted(Rule):
    """What all ancestors permit together includes what the data are for."""

    id = "LIC-02"
    settled_by = "source_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for what breaks it."""
        yield from unread(case)
        facts = case.licences
        known: dict[tuple[str, ...], tuple[Permission, str]] = {}
        for node, descent in facts.files():
            if not descent.whole:
                message = f"{display_path(node.path)}: not all that it comes from is known"
                yield Finding(node.path, message, "dsvc trace shows where it ends", Outcome.INCOMPLETE)
                continue
            if descent.sources not in known:
                known[descent.sources] = _permitted(case, facts, descent.sources)
            found, why = known[descent.sources]
            if found is not YES:
                hint = _STATE if case.settings.purpose else _PURPOSE
                if found is NO:
                    hint = f"leave out what comes from them: dsvc trace {display_path(node.path)}"
                yield Finding(node.path, f"{display_path(node.path)}: {why}", hint, _outcome(found))


def _permitted(case: Case, facts: LicenceFacts, names: tuple[str, ...]) -> tuple[Permission, str]:
    use = facts.use(names)
    found = permission(facts.folds.of(names), lambda vector: permits_use(vector, use))
    if found is YES:
        return found, ""
    alone = {
        name: permission(facts.folds.own(name), lambda vector: permits_use(vector, use)) for name in names
    }
    named = facts.shown(name for name, each in alone.items() if each is found)
    what = "use for gain" if use.commercial else f"the purpose {case.settings.purpose!r}"
    if not case.settings.purpose and not use.commercial:
        return found, f"it isn't said what the data are for, and use is limited by {named}"
    if found is NO:
        return found, f"{what} on {case.day} is not permitted by {named}"
    return found, f"whether {what} is permitted isn't known of {named}"


class Adapted(Rule):
    """Nothing is adapted that may not be, nor given to others adapted."""

    id = "LIC-03"
    settled_by = "compliance_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for what breaks it."""
        yield from unread(case)
        facts = case.licences
        told: set[str] = set()
        roots = case.judged.closure.roots
        contents = facts.contents
        for node in roots:
            content = contents[node]
            if content.adapted or content.unknown:
                yield from self._file(case, facts, node, told)
        # What may not even be made may have been made on the way, and be gone.
        for node, content in contents.items():
            for name in content.adapted if content.adapted and node not in roots else ():
                if name not in told and self._asked(facts, name, "adapt") is NO:
                    told.add(name)
                    yield Finding(
                        artifact_subject(case.judged, node),
                        f"{shown(node)} adapts {facts.shown([name])}, which may not be adapted",
                        "leave the source out, or ask its rightsholders for a licence",
                    )

    def _file(self, case: Case, facts: LicenceFacts, node: ArtifactNode, told: set[str]) -> Iterator[Finding]:
        content = facts.contents[node]
        path = display_path(node.path)
        for name in (*content.adapted, *content.unknown):
            found = self._asked(facts, name, "adapt")
            what = "may not be adapted"
            if found is YES and _is_shared(case):
                found = self._asked(facts, name, "share_adapted")
                what = "may not be given to others adapted"
            if found is YES:
                continue
            told.add(name)
            if name in content.unknown and found is NO:
                message = f"whether {path} adapts {facts.shown([name])} isn't known, and that {what}"
                hint = "declare the columns with content under [tables] in dsvc.toml"
                yield Finding(node.path, message, hint, Outcome.INCOMPLETE)
            elif found is NO:
                message = f"{path} adapts {facts.shown([name])}, which {what}"
                hint = "labels in a file of their own, beside unmodified data, are no adaptation"
                yield Finding(node.path, message, hint)
            else:
                message = f"{path} adapts {facts.shown([name])}, and whether that may be isn't known"
                yield Finding(node.path, message, _STATE, Outcome.INCOMPLETE)

    @staticmethod
    def _asked(facts: LicenceFacts, name: str, what: str) -> Permission:
        choices = facts.chosen((name,))
        return permission(choices, lambda vector: getattr(vector, what))


class ShareAlike(Rule):
    """Licences that want adaptations to carry them go together, and with the licence of the whole.

    Rows of several sources in one file count as one adaptation: a file has one licence.
    """

    id = "LIC-04"
    settled_by = "compliance_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for what breaks it."""
        if not _is_shared(case):
            return
        yield from unread(case)
        facts = case.licences
        known: dict[tuple[tuple[str, ...], bool], Finding | None] = {}
        for node, descent in facts.files():
            content = facts.contents[node]
            if not content.is_adaptation:
                continue
            key = (content.sources, descent.whole)
            if key not in known:
                known[key] = self._look(case, facts, *key)
            found = known[key]
            if found is not None:
                message = f"{display_path(node.path)} {found.message}"
                yield found._replace(subject=node.path, message=message)

    def _look(self, case: Case, facts: LicenceFacts, names: tuple[str, ...], whole: bool) -> Finding | None:
        choices = _united(facts, names, whole)
        sharing = best_sharing(choices, facts.declared)
        output = case.settings.output_license
        wants = [name for name in names if _wants_alike(_united(facts, (name,)))]
        if sharing.permission is not YES:
            return self._incompatible(facts, names, wants, sharing)
        if output:
            found = permits_output(choices, output, facts.declared)
            if found is YES:
                return None
            alone = {name: _united(facts, (name,)) for name in names}
            against = [n for n in names if permits_output(alone[n], output, facts.declared) is found]
            verb = "does not satisfy" if found is NO else "may not satisfy"
            message = f"is shared under {output}, which {verb} {facts.shown(against or names)}"
            return Finding(b"", message, _any_of(sharing), _outcome(found))
        if permission(choices, lambda vector: _sharing_unsaid(vector, facts.declared)) is YES:
            return None
        message = f"is shared under a licence that isn't said, and adapts {facts.shown(wants)}"
        return Finding(b"", message, _any_of(sharing), Outcome.INCOMPLETE)

    def _incompatible(
        self, facts: LicenceFacts, names: tuple[str, ...], wants: list[str], sharing: Sharing
    ) -> Finding:
        if sharing.permission is UNDETERMINED:
            alone = {name: best_sharing(_united(facts, (name,)), facts.declared) for name in names}
            unknown = [name for name in names if alone[name].permission is not YES] or names
            message = f"unites licences that may not go together: {facts.shown(unknown)}"
            return Finding(b"", message, _STATE, Outcome.INCOMPLETE)
        listed = [*wants, *(name for name in names if name not in wants)]
        message = f"unites licences that no one licence satisfies: {facts.shown(listed)}"
        return Finding(b"", message, "keep what comes from them in files of their own")


def _united(facts: LicenceFacts, names: tuple[str, ...], whole: bool = True) -> Choices:
    """What sources permit in one file, of the choices that permit the use and adaptation best.

    Whether they may be adapted at all is another rule's question.
    """
    chosen = choose(facts.chosen(names, whole), lambda vector: vector.share_adapted)
    return frozenset(vector._replace(share_adapted=YES) for vector in chosen)


def _sharing_unsaid(vector: Vector, declared: Declared) -> Permission:
    """Say whether something may be shared where the licence isn't said under which it is."""
    return UNDETERMINED if vector.share_alike else sharing_of(vector, declared).permission


def _wants_alike(choices: Choices) -> bool:
    return all(vector.share_alike for vector in choices)


def _any_of(sharing: Sharing) -> str:
    words = " or ".join(sharing.licences) or "a licence that permits no more than these do"
    return f"[policy] output_license in dsvc.toml says under which licence; it takes {words}"


def _stated_by(missing: str) -> str:
    """Return the option that states what a notice lacks."""
    options = {"title": "--title TITLE", "license_expression": "--license SPDX"}
    return options.get(missing) or f"--field {missing.rsplit(maxsplit=1)[-1]}=NAME"


class Named(Rule):
    """Of each source that must be named it is known how, and the licence of the whole asks for it too."""

    id = "LIC-05"
    settled_by = "source_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for what breaks it."""
        if not _is_shared(case):
            return
        yield from unread(case)
        facts = case.licences
        for name in facts.names:
            choices = facts.chosen((name,))
            unnamed = permission(choices, lambda vector: vector.unnamed)
            if unnamed is YES:
                continue
            output = case.settings.output_license
            if output and permission(choices_of(output, facts.declared), lambda v: v.unnamed) is YES:
                yield Finding(
                    source_subject(name),
                    f"source {facts.shown([name])} must be named, and {output} lets that be left out",
                    "[policy] output_license in dsvc.toml takes a licence that asks for attribution",
                    _outcome(unnamed),
                )
            for record in facts.folds.sources.get(name, ()):
                missing = notice_of(record).missing
                if missing:
                    yield Finding(
                        source_subject(name),
                        f"source {name} must be named, and its record lacks {', '.join(missing)}",
                        f"dsvc source set {name} {_stated_by(missing[0])}",
                        Outcome.INCOMPLETE,
                    )


RULES: Final = (Readable(), Permitted(), Adapted(), ShareAlike(), Named())
