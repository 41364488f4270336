"""release verify: everything that a release says, held against what is stored; no recorded command is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec

from dsvc import __version__
from dsvc.feedback.defect_state import DefectState
from dsvc.history.trailers import clean_message
from dsvc.lineage.validation import Gate, Outcome
from dsvc.model.errors import (
    CorruptDataError,
    DsvcError,
    ErasedError,
    MalformedInputError,
    MissingDataError,
    NotFoundError,
)
from dsvc.model.ids import CommitId
from dsvc.model.release import ReleaseStatus
from dsvc.porcelain.policy.check import check
from dsvc.porcelain.policy.signed_commits import SignatureState
from dsvc.porcelain.policy.verdict import CheckResult
from dsvc.porcelain.records.release_chain import (
    DATA,
    DOCUMENTS,
    LINEAGE,
    ReleaseState,
    created_release,
    find_release,
    known_refs,
    release_packs,
    release_part,
    release_trees,
)
from dsvc.porcelain.records.release_files import released_entries
from dsvc.porcelain.records.released_data import selected_by_name
from dsvc.porcelain.release.release_contents import file_problems, lineage_problems, metric_problems
from dsvc.porcelain.release.release_facts import About, Wanted, collect_facts
from dsvc.porcelain.release.release_statement import statement_problems
from dsvc.porcelain.release.release_tag import ReleaseTag, tag_text
from dsvc.porcelain.release.releases import release_parts
from dsvc.porcelain.state.moment import Moment, parse_moment
from dsvc.porcelain.state.workspace import Workspace
from dsvc.release.facts import ReleaseFacts
from dsvc.release.facts_codec import canonical

_UNREADABLE: Final = (MissingDataError, ErasedError, CorruptDataError, MalformedInputError, NotFoundError)
_ENDED: Final = (ReleaseStatus.WITHDRAWN, ReleaseStatus.OFFLINE, ReleaseStatus.DEPRECATED)
_OF_THE_VERDICT: Final = "verdict"


class Finding(NamedTuple):
    """Something about a release that isn't as it says, or that can't be told.

    Attributes
    ----------
    check : str
        ``tag``, ``signature``, ``commit``, ``files``, ``documents``, ``statement``, ``lineage``, ``verdict``,
        ``facts``, ``evaluations`` or ``rerun``.
    message : str
    outcome : Outcome
        ``INCOMPLETE`` where it can't be told.
    """

    check: str
    message: str
    outcome: Outcome = Outcome.FAIL


class Verified(NamedTuple):
    """What came of verifying a release.

    Attributes
    ----------
    state : ReleaseState
    facts : ReleaseFacts
    findings : tuple of Finding
    notes : tuple of str
        What is to be known of it besides: that it was withdrawn since.
    checks : tuple of str
        What was looked at.
    """

    state: ReleaseState
    facts: ReleaseFacts
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    checks: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """What is wrong counts before what can't be told."""
        found = {each.outcome for each in self.findings}
        return next((each for each in (Outcome.FAIL, Outcome.INCOMPLETE) if each in found), Outcome.PASS)


def verify(repo: Workspace, name: str) -> Verified:
    """Hold a release against what is stored: in any whole copy of the repository the answer is the same.

    Raises
    ------
    NoSuchReleaseError
        If there is none of that name.
    ReleaseStateError
        If it is only announced.
    MissingDataError, CorruptDataError, MalformedInputError
        If its chain, or its facts, can't be read at all.
    """
    state, facts = created_release(repo, name)
    looks: dict[str, Callable[[], Iterator[str | Finding]]] = {
        "tag": lambda: _tag(repo, state, facts),
        "signature": lambda: _signature(repo, state),
        "commit": lambda: _commit(repo, state, facts),
        "files": lambda: file_problems(repo, facts),
        "documents": lambda: _documents(repo, state, facts),
        "statement": lambda: statement_problems(release_part(repo, state, DOCUMENTS[0]), facts),
        "lineage": lambda: lineage_problems(repo, facts),
        "verdict": lambda: _judged_again(repo, state, facts),
        "evaluations": lambda: metric_problems(repo, facts),
    }
    findings: list[Finding] = []
    for check_name, look in looks.items():
        findings += _looked(check_name, look)
    return Verified(state, facts, tuple(findings), tuple(_notes(repo, state, facts)), (*looks, "facts"))


def _looked(check_name: str, look: Callable[[], Iterator[str | Finding]]) -> Iterator[Finding]:
    """Look at one thing; what can't be read is no answer."""
    try:
        for each in look():
            yield each if isinstance(each, Finding) else Finding(check_name, each)
    except _UNREADABLE as error:
        yield unreadable(check_name, error)


def unreadable(check_name: str, error: DsvcError) -> Finding:
    """Say of something that can't be read that nothing can be told of it, or that it is wrong."""
    wrong = isinstance(error, CorruptDataError | MalformedInputError)
    return Finding(check_name, error.message, Outcome.FAIL if wrong else Outcome.INCOMPLETE)


# What it rests on


def _tag(repo: Workspace, state: ReleaseState, facts: ReleaseFacts) -> Iterator[str]:
    tag = ReleaseTag(repo, state.name)
    if tag.id is None:
        yield f"the tag {state.name} is gone"
        return
    if tag.target != facts.commit:
        yield f"the tag names {str(tag.target)[:12]}, the release {facts.commit[:12]}"
    created = state.created
    parts = {path: release_part(repo, state, path) for path in DOCUMENTS}
    text = tag_text(facts, parts, None if created is None else created.signer)
    if tag.text is None:
        yield "the tag has no message: it is not the one that the release made"
    elif clean_message(tag.text).strip() != clean_message(text).strip():
        yield "the message of the tag says something else than the release"


def _signature(repo: Workspace, state: ReleaseState) -> Iterator[str | Finding]:
    created = state.created
    signer = None if created is None else created.signer
    found = ReleaseTag(repo, state.name).signature()
    if found is None:
        if signer is not None:
            yield f"the tag was signed by {signer}, and has no signature any more"
    elif found.state is SignatureState.UNKNOWN:
        yield Finding("signature", str(found.problem), Outcome.INCOMPLETE)
    elif found.state is SignatureState.BAD:
        yield f"the signature of the tag is wrong: {found.problem}"
    elif found.key != signer:
        yield f"the tag is signed by {found.key}, and was to be by {signer or 'nobody'}"


def _commit(repo: Workspace, state: ReleaseState, facts: ReleaseFacts) -> Iterator[str]:
    if state.commit != facts.commit or state.name != facts.name:
        yield "the facts are those of another release"
    commit = repo.history.verify_commit(CommitId(facts.commit))
    trees = release_trees(repo, state)
    if commit.manifest.hex() != facts.manifest or trees.get(DATA) != commit.manifest:
        yield "the manifest of the version is not the one that was released"
    if trees.get(LINEAGE) != commit.lineage or (
        commit.lineage is not None and commit.lineage.hex() != facts.lineage.digest
    ):
        yield "the lineage of the version is not the one that was released"


def _documents(repo: Workspace, state: ReleaseState, facts: ReleaseFacts) -> Iterator[str]:
    """Make the documents again; another dsvc may word them in another way, their digests are in the tag."""
    created = state.created
    if created is None or created.made_by != __version__:
        return
    for path, data in release_parts(facts).items():
        if release_part(repo, state, path) != data:
            yield f"{path.decode()} is not what follows from the facts"


# The verdict and the facts, once more


def _judged_again(repo: Workspace, state: ReleaseState, facts: ReleaseFacts) -> Iterator[str | Finding]:
    moment = moment_of(repo, state, facts)
    root = repo.history.read_commit(CommitId(facts.commit)).manifest
    selected = selected_by_name(released_entries(repo, root, facts.paths), facts.paths)
    packs = release_packs(repo, state)
    policy = next(((data, name) for name, data in packs.items()), None)
    verdict = check(
        repo,
        facts.commit,
        gate=Gate.RELEASE,
        policy=policy,
        selected=selected,
        release=facts.name,
        moment=moment,
    )
    yield from _verdict_problems(facts, verdict)
    previous = None
    if facts.since is not None:
        previous = find_release(repo, facts.since.release)
        if previous is None or previous.commit != facts.since.commit:
            text = f"the release before, {facts.since.release}, is not there any more"
            yield Finding("facts", text, Outcome.INCOMPLETE)
            return
    wanted = Wanted(
        name=facts.name,
        commit=CommitId(facts.commit),
        paths=facts.paths,
        about=About(
            title=facts.title,
            description=facts.description,
            notes=facts.notes,
            contact=facts.contact,
            url=facts.url,
        ),
        author=facts.author,
        created_at=facts.created_at,
        judged_at=facts.verdict.judged_at,
        moment=moment,
        previous=previous,
    )
    yield from _fact_problems(facts, canonical(collect_facts(repo, wanted, verdict)))


def moment_of(repo: Workspace, state: ReleaseState, facts: ReleaseFacts) -> Moment:
    """The moment when the gate judged a release, with what was known then; raises as reading its chain."""
    known = frozenset(known_refs(repo, state).values())
    return parse_moment(facts.verdict.judged_at)._replace(day=facts.verdict.as_of, known=known)


def _verdict_problems(facts: ReleaseFacts, verdict: CheckResult) -> Iterator[Finding]:
    said = facts.verdict
    if verdict.outcome is not Outcome.PASS or verdict.gate_exit_code:
        reasons = [f"{each.rule} {each.message}" for each in verdict.violations if each.blocks]
        text = f"the gate says {verdict.outcome.value} now of what it let pass: {'; '.join(reasons[:10])}"
        yield Finding(_OF_THE_VERDICT, text, verdict.outcome)
    elif verdict.digest != said.digest:
        old = {(each.name, each.digest) for each in said.packs}
        new = {(each.name, each.digest) for each in verdict.packs}
        if old != new:
            names = ", ".join(sorted({name for name, _ in old ^ new}))
            text = f"this dsvc has other packs than the release was judged by: {names}"
            yield Finding(_OF_THE_VERDICT, text, Outcome.INCOMPLETE)
        else:
            yield Finding(_OF_THE_VERDICT, "the verdict can't be reproduced: it comes out in another way")


def _fact_problems(facts: ReleaseFacts, again: ReleaseFacts) -> Iterator[Finding]:
    """Compare field by field, so that it is said what differs; of the verdict that was said already."""
    for name in facts.__struct_fields__:
        if name == _OF_THE_VERDICT:
            continue
        old, new = getattr(facts, name), getattr(again, name)
        if old == new:
            continue
        parts = [name]
        if isinstance(old, msgspec.Struct) and isinstance(new, msgspec.Struct) and type(old) is type(new):
            fields = old.__struct_fields__
            parts = [f"{name}.{each}" for each in fields if getattr(old, each) != getattr(new, each)]
        yield Finding("facts", f"gathered again, the release says something else of: {', '.join(parts)}")


# What became of it


def _notes(repo: Workspace, state: ReleaseState, facts: ReleaseFacts) -> Iterator[str]:
    from dsvc.porcelain.release.release_affected import blocking_defects, reasons_to_withdraw

    if state.status in _ENDED:
        yield f"it is {state.status.value}: {state.reason}"
    elif state.status is ReleaseStatus.ARCHIVED:
        yield f"it is archived: {state.reason}"
    blocking: list[DefectState] = []
    with suppress(*_UNREADABLE):
        blocking = blocking_defects(repo)
    with suppress(*_UNREADABLE):
        yield from reasons_to_withdraw(repo, facts, blocking)
