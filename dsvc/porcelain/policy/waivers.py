"""Waivers: made, listed, and held against what the gate found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, NamedTuple

import msgspec

from dsvc.lineage.validation import DEFECT, Gate, Violation, defect_subject
from dsvc.model.errors import (
    CorruptDataError,
    DsvcError,
    MalformedInputError,
    MissingDataError,
    NotFoundError,
    PolicyDeniedError,
    PolicyIncompleteError,
    UsageError,
)
from dsvc.model.ssh_key import SshKey
from dsvc.model.waiver import NAMESPACE, Waiver, WaiverMalformedError, encode_waiver, is_day
from dsvc.policy.rule_catalogue import find_rule
from dsvc.policy.waivers import Judgement, Standing, StoredWaiver, Touching, standing
from dsvc.porcelain.policy.judged_version import JudgedVersion, judged_version
from dsvc.porcelain.policy.roster import RosterInForce, roster_in_force
from dsvc.porcelain.policy.waiver_authors import Authors
from dsvc.porcelain.records.source_chain import head as source_head
from dsvc.porcelain.records.waiver_chain import (
    load_waiver,
    load_waivers,
    revoke_waiver,
    store_waiver,
    waiver_ids,
)
from dsvc.porcelain.state.moment import Moment
from dsvc.porcelain.state.signing import named_signer
from dsvc.porcelain.state.workspace import Workspace

_ERRORS: Final = {Standing.UNTOLD: PolicyIncompleteError, Standing.MALFORMED: WaiverMalformedError}


class WaiverRefusedError(PolicyDeniedError):
    """Who signs may not make this waiver: not an officer on the roster, or the author of what it is for."""

    code: ClassVar[str] = "waiver-refused"


class WaiverUse(msgspec.Struct, frozen=True, kw_only=True):
    """A waiver, and what it is worth to a version.

    Attributes
    ----------
    id : str
    standing : Standing
    why : str
        In words: who signed it, or why it doesn't count.
    rule : str or None
        None, as everything below, where the waiver can't be read.
    subject : bytes
    digest : str or None
        Content that it is for, in hex.
    reason : str or None
        What the officer says.
    until : str or None
        Last day.
    made_at, by : str or None
    key : str or None
        Fingerprint of the key, where the signature holds.
    """

    id: str
    standing: Standing
    why: str
    rule: str | None = None
    subject: bytes = b""
    digest: str | None = None
    reason: str | None = None
    until: str | None = None
    made_at: str | None = None
    by: str | None = None
    key: str | None = None


class AppliedWaivers(NamedTuple):
    """What the gate found, with waivers.

    Attributes
    ----------
    violations : list of Violation
        All of them, those that are waived marked; and changes of the roster that no officer signed.
    uses : tuple of WaiverUse
        Waivers for what was found, those that don't count too; and those that can't be read.
    roster : RosterInForce
    """

    violations: list[Violation]
    uses: tuple[WaiverUse, ...]
    roster: RosterInForce


def apply_waivers(
    repo: Workspace,
    version: JudgedVersion,
    violations: Iterable[Violation],
    day: str,
    *,
    gate: Gate = Gate.PUSH,
    signer: SshKey | None = None,
    moment: Moment | None = None,
) -> AppliedWaivers:
    """Mark the violations that a waiver lets stand; they stay in the list, and don't block.

    Parameters
    ----------
    day : str
        On which it is judged, ``YYYY-MM-DD``.
    gate : Gate
        At that of commits a wrong roster that the version before had already is a warning.
    signer : SshKey or None
        Who will sign the version, where it is no commit yet.
    moment : Moment or None
        Waivers and revocations that came later are not known; None: all are.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If the history, from which the roster follows, can't be read.
    """
    roster = _roster(repo, version, signer)
    stored = load_waivers(repo, moment)
    authors = Authors(repo, version, repo.signature(), signer)
    uses: dict[tuple[str, Standing], WaiverUse] = {}
    marked: list[Violation] = []
    for violation in violations:
        for each in stored:
            waiver = each.waiver
            if waiver is None or (waiver.rule, waiver.subject) != (violation.rule, violation.subject):
                continue
            found = _judge(each, violation, roster, day, authors)
            uses.setdefault((each.id, found.standing), _use(each, found))
            if found.standing is Standing.COUNTS:
                violation = violation._replace(waiver=violation.waiver or each.id)
        marked.append(violation)
    for each in stored:
        if each.waiver is None and each.problem is not None:
            uses[each.id, each.problem.standing] = _use(each, each.problem)
    ordered = sorted(uses.values(), key=lambda use: (use.id, use.standing))
    if gate is Gate.COMMIT and roster.is_inherited:
        wrong = tuple(each._replace(inherited=True) for each in roster.violations)
        roster = roster._replace(violations=wrong)
    return AppliedWaivers([*marked, *roster.violations], tuple(ordered), roster)


def _roster(repo: Workspace, version: JudgedVersion, signer: SshKey | None) -> RosterInForce:
    return roster_in_force(repo, version.root, version.commit, version.parents, version.target, signer)


def _judge(
    stored: StoredWaiver, violation: Violation | None, roster: RosterInForce, day: str, authors: Authors
) -> Judgement:
    def touching() -> Touching:
        assert stored.waiver is not None
        return authors.touching(stored.waiver.subject, bytes.fromhex(stored.waiver.digest))

    return standing(stored, violation, roster.roster, day, touching)


def _use(stored: StoredWaiver, found: Judgement) -> WaiverUse:
    waiver = stored.waiver
    key = None if stored.key is None else stored.key.fingerprint
    if waiver is None:
        return WaiverUse(id=stored.id, standing=found.standing, why=found.reason, key=key)
    return WaiverUse(
        id=stored.id,
        standing=found.standing,
        why=found.reason,
        rule=waiver.rule,
        subject=waiver.subject,
        digest=waiver.digest,
        reason=waiver.reason,
        until=waiver.until,
        made_at=waiver.made_at,
        by=waiver.by,
        key=key,
    )


# Verbs


def list_waivers(repo: Workspace, day: str, rev: str | None = None) -> list[WaiverUse]:
    """Give every waiver with what it is worth to a version.

    Parameters
    ----------
    day : str
        Which, ``YYYY-MM-DD``.
    rev : str or None
        Of which revision; None: what is staged.

    Raises
    ------
    NotFoundError
        If there is no such revision.
    """
    return waivers_of(repo, _version(repo, rev), day) if waiver_ids(repo) else []


def waivers_of(repo: Workspace, version: JudgedVersion, day: str) -> list[WaiverUse]:
    """Give every waiver with what it is worth to a version on a day, ``YYYY-MM-DD``."""
    roster, authors = _roster(repo, version, None), Authors(repo, version)
    return [_use(each, _judge_now(repo, each, version, roster, day, authors)) for each in load_waivers(repo)]


class _Subject(NamedTuple):
    """What a waiver is held against where no rule was asked."""

    rule: str
    subject: bytes
    digest: bytes


def _judge_now(
    repo: Workspace,
    stored: StoredWaiver,
    version: JudgedVersion,
    roster: RosterInForce,
    day: str,
    authors: Authors,
) -> Judgement:
    waiver = stored.waiver
    if waiver is None or stored.problem is not None:
        return _judge(stored, None, roster, day, authors)
    try:
        digest = subject_digest(repo, version, waiver.subject)
    except (NotFoundError, UsageError) as error:
        return Judgement(Standing.OTHER_SUBJECT, error.message)
    except (MissingDataError, CorruptDataError, MalformedInputError) as error:
        return Judgement(Standing.UNTOLD, error.message)
    subject = _Subject(waiver.rule, waiver.subject, digest)
    return standing(
        stored,
        subject,
        roster.roster,
        day,
        lambda: authors.touching(subject.subject, subject.digest),
    )


def make_waiver(
    repo: Workspace,
    rule: str,
    subject: bytes,
    *,
    reason: str,
    until: str,
    day: str,
    key: str | None = None,
    rev: str | None = None,
) -> WaiverUse:
    """Make a waiver, sign it and record it.

    Parameters
    ----------
    rule : str
        Id of the rule.
    subject : bytes
        A path, ``PATH@DIGEST``, ``run:ID``, ``source:ID``, ``defect:ID``, or ``b""`` for the whole version.
    until : str
        Last day on which it holds, ``YYYY-MM-DD``.
    day : str
        Today.
    key : str or None
        File of the key to sign with; None: ``user.signingKey``.
    rev : str or None
        Revision whose content it is for; None: what is staged, which is HEAD where nothing is.

    Raises
    ------
    WaiverRefusedError
        If the key isn't that of a compliance officer, or its holder made what the waiver is for.
    PolicyIncompleteError
        If that can't be told.
    UnknownRuleError, UsageError
        If there is no such rule, no reason, or the day is none or past.
    NotFoundError
        If the version has no such subject.
    SigningKeyError, PassphraseError, SigningUnavailableError
        If there is no key that can be used.
    """
    find_rule(rule)
    if not reason.strip():
        raise UsageError("a waiver needs a reason")
    if not is_day(until) or until < day:
        raise UsageError(f"a waiver ends on a day from today on, YYYY-MM-DD, not on {until[:40]!r}")
    version = _version(repo, rev)
    subject, digest = _found(repo, version, subject)
    signer = named_signer(repo, key)
    waiver = _statement(repo, rule, subject, digest, reason.strip(), until, signer.public)
    with repo.changing():
        _check(repo, version, StoredWaiver("", waiver, signer.public), day)
        id_ = store_waiver(repo, waiver, signer.sign(encode_waiver(waiver), NAMESPACE))
    made = load_waiver(repo, id_)
    return _use(made, _judge(made, None, _roster(repo, version, None), day, Authors(repo, version)))


def _statement(
    repo: Workspace, rule: str, subject: bytes, digest: bytes, reason: str, until: str, key: SshKey
) -> Waiver:
    who = repo.signature()
    return Waiver(
        rule=rule,
        subject=subject,
        digest=digest.hex(),
        reason=reason,
        until=until,
        made_at=who.rfc3339(),
        by=f"{who.name} <{who.email}>",
        key=key.fingerprint,
    )


def _check(repo: Workspace, version: JudgedVersion, stored: StoredWaiver, day: str) -> None:
    """Refuse a waiver that would count for nothing."""
    found = _judge(stored, None, _roster(repo, version, None), day, Authors(repo, version))
    if found.standing is Standing.COUNTS:
        return
    kind: type[DsvcError] = _ERRORS.get(found.standing, WaiverRefusedError)
    hint = "a compliance_officer of the roster in force, who didn't make the change, can waive it"
    raise kind(f"the waiver would not count: {found.reason}", hint=hint, details={"standing": found.standing})


def _version(repo: Workspace, rev: str | None) -> JudgedVersion:
    if rev is not None:
        return judged_version(repo, rev)
    staged = repo.staged()
    return judged_version(repo, staged=staged.root != staged.base_root)


def _found(repo: Workspace, version: JudgedVersion, subject: bytes) -> tuple[bytes, bytes]:
    if subject.startswith(b"run:"):
        from dsvc.porcelain.runs.known_run import find_run

        run = find_run(repo, subject.decode("utf-8", "replace")).id
        return b"run:" + run.hex().encode(), bytes(run)
    if subject.startswith(DEFECT):
        from dsvc.porcelain.policy.defect_facts import defect_digest
        from dsvc.porcelain.records.defect_chain import defect_state

        state = defect_state(repo, subject[len(DEFECT) :].decode("utf-8", "replace"))
        return defect_subject(state.id), defect_digest(state)
    return subject, subject_digest(repo, version, subject)


def subject_digest(repo: Workspace, version: JudgedVersion, subject: bytes) -> bytes:
    """Content of a subject in a version, as violations name it (`dsvc.policy.case.Case.digest_of`).

    Raises
    ------
    NotFoundError
        If there is no such path, run, source or defect.
    """
    if not subject:
        return bytes(version.root)
    if subject.startswith((b"run:", DEFECT)):
        return bytes(_found(repo, version, subject)[1])
    if subject.startswith(b"source:"):
        return bytes(source_head(repo, subject[7:].decode("utf-8", "replace")).tree.root)
    entry = repo.manifest(version.root).get(subject)
    if entry is not None and entry.is_file:
        return entry.digest
    path, at, hex_ = subject.rpartition(b"@")
    if path and at and len(hex_) == 64:
        try:
            return bytes.fromhex(hex_.decode("ascii"))
        except ValueError:
            pass
    shown = subject.decode("utf-8", "replace")
    raise NotFoundError(f"the version has no file {shown[:200]}", details={"subject": shown})


def revoke(repo: Workspace, id: str, reason: str, day: str) -> WaiverUse:  # noqa: A002
    """Revoke a waiver; errors as `waiver_chain.revoke_waiver`."""
    stored = revoke_waiver(repo, id, reason)
    version = _version(repo, None)
    return _use(stored, _judge(stored, None, _roster(repo, version, None), day, Authors(repo, version)))


__all__: Sequence[str] = (
    "AppliedWaivers",
    "WaiverRefusedError",
    "WaiverUse",
    "apply_waivers",
    "list_waivers",
    "make_waiver",
    "revoke",
    "subject_digest",
    "waivers_of",
)
