"""Releases: created once the gate lets them, and what becomes of them afterwards."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

from dsvc import __version__
from dsvc.history.ref_name import tag_ref
from dsvc.history.refs import OPERATIONS
from dsvc.lineage.validation import Gate
from dsvc.model.errors import ConcurrentChangeError, UsageError
from dsvc.model.ids import CommitId
from dsvc.model.release import ReleaseOperation, ReleaseVerb
from dsvc.porcelain.policy.check import check
from dsvc.porcelain.policy.release_since import previous_release
from dsvc.porcelain.policy.verdict import CheckResult
from dsvc.porcelain.records.release_chain import (
    CARD,
    CARD_ZH,
    CROISSANT,
    DATA,
    FACTS,
    KNOWN,
    LINEAGE,
    NOTES,
    POLICY,
    STATEMENT,
    ReleaseState,
    check_step,
    encode_known,
    find_release,
    prepare_release,
    release_head,
)
from dsvc.porcelain.records.release_files import released_entries
from dsvc.porcelain.records.released_data import selected_by_name
from dsvc.porcelain.release.release_facts import About, Wanted, collect_facts
from dsvc.porcelain.release.release_gate import refuse
from dsvc.porcelain.release.release_tag import tag_text
from dsvc.porcelain.state.moment import Moment
from dsvc.porcelain.state.ref_moves import RefExistsError
from dsvc.porcelain.state.signing import Signer, named_signer, sign_commit
from dsvc.porcelain.state.workspace import Workspace
from dsvc.release.card import dataset_card
from dsvc.release.croissant import croissant
from dsvc.release.facts import ReleaseFacts
from dsvc.release.facts_codec import encode_facts
from dsvc.release.statement import attestation

_MAX_NOTES: Final = 4 << 20
_MAX_NAME: Final = 1000
_JUDGED_BY: Final = tuple(
    f"refs/dsvc/{kind}/" for kind in ("sources", "waivers", "requests", "feedback", "defects", "releases")
)
"""Refs that say what the gate knows; what moves there while it judges may change the verdict."""


class ReleaseNameTakenError(RefExistsError):
    """A tag, or another release, has the name."""

    code: ClassVar[str] = "release-name-taken"


class CreatedRelease(NamedTuple):
    """A release that was created.

    Attributes
    ----------
    state : ReleaseState
    facts : ReleaseFacts
    verdict : CheckResult
    signer : str or None
        Fingerprint of the key that signed its tag.
    """

    state: ReleaseState
    facts: ReleaseFacts
    verdict: CheckResult
    signer: str | None


def create(
    repo: Workspace,
    name: str,
    rev: str = "HEAD",
    *,
    paths: Sequence[bytes] = (),
    about: About | None = None,
    consumers: Sequence[str] = (),
    policy: tuple[bytes, str] | None = None,
    sign: bool = False,
) -> CreatedRelease:
    """Release a committed version, if the gate lets it; what the working tree holds is no part of it.

    Parameters
    ----------
    name : str
        Of the release and of its tag.
    rev : str
        The version.
    paths : sequence of bytes
        Files and folders that are given out; empty: everything.
    about : About or None
        What the author says of it.
    consumers : sequence of str
        To whom it is given.
    policy : (bytes, str) or None
        Content and name of a pack that is asked beside those in force.
    sign : bool
        Sign the tag, as commits are signed.

    Raises
    ------
    ReleaseBrokenError, ReleaseDeniedError, ReleaseIncompleteError, ReleaseBlockedError
        If anything speaks against it; every reason is in the message, and nothing was written.
    ReleaseNameTakenError
        If a tag or a release has the name.
    ReleaseStateError
        If its announcement was withdrawn.
    NotFoundError
        If there is no such revision, or it lacks a path.
    ConcurrentChangeError
        If another command made the release, or changed what the gate knows; nothing was written.
    MissingDataError, ErasedError, CorruptDataError, MalformedInputError
        If anything that it comes from can't be read.
    """
    before = free_name(repo, name)
    about = _checked(about or About())
    given = consumer_names(consumers)
    commit = repo.history.revisions.resolve(rev)
    version = repo.history.read_commit(commit)
    chosen = tuple(sorted(set(paths) - {b""}))
    selected = selected_by_name(released_entries(repo, version.manifest, chosen), chosen)
    signer = named_signer(repo) if sign else None
    known = _tips(repo)
    judged_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    verdict = check(repo, str(commit), gate=Gate.RELEASE, policy=policy, selected=selected, release=name)
    refuse(name, verdict)
    wanted = _wanted(repo, name, commit, chosen, about, judged_at, verdict)
    facts = collect_facts(repo, wanted, verdict)
    kept = {KNOWN: encode_known(known)} | _asked_too(policy)
    with repo.changing():
        _check_unmoved(repo, known)
        _record(repo, facts, before, kept, given, signer)
    key = None if signer is None else signer.public.fingerprint
    return CreatedRelease(release_head(repo, name), facts, verdict, key)


def _wanted(
    repo: Workspace,
    name: str,
    commit: CommitId,
    paths: tuple[bytes, ...],
    about: About,
    judged_at: str,
    verdict: CheckResult,
) -> Wanted:
    return Wanted(
        name=name,
        commit=commit,
        paths=paths,
        about=about,
        author=_author(repo),
        created_at=judged_at,
        judged_at=judged_at,
        moment=Moment(verdict.as_of),
        previous=previous_release(repo, commit, name),
    )


def _asked_too(policy: tuple[bytes, str] | None) -> dict[bytes, bytes]:
    """A pack that was asked beside those in force, kept with the release."""
    return {} if policy is None else {POLICY + b"/" + policy[1].encode(): policy[0]}


def _author(repo: Workspace) -> str:
    who = repo.signature()
    return f"{who.name} <{who.email}>"


def _record(
    repo: Workspace,
    facts: ReleaseFacts,
    before: ReleaseState | None,
    kept: Mapping[bytes, bytes],
    consumers: tuple[str, ...],
    signer: Signer | None,
) -> None:
    """Record a release with its tag, in one step; the caller holds `repo.changing()`."""
    commit = CommitId(facts.commit)
    version = repo.history.read_commit(commit)
    parts = release_parts(facts)
    key = None if signer is None else signer.public.fingerprint
    operation = ReleaseOperation(
        verb=ReleaseVerb.CREATE,
        at=facts.created_at,
        by=facts.author,
        commit=facts.commit,
        signer=key,
        made_by=__version__,
        consumers=consumers,
    )
    trees = {DATA: version.manifest} | ({} if version.lineage is None else {LINEAGE: version.lineage})
    prepared, change = prepare_release(repo, facts.name, before, operation, {**parts, **kept}, trees)
    tag = repo.history.annotated_tag(
        name=facts.name,
        target=commit,
        message=tag_text(facts, parts, key),
        tagger=repo.signature(),
        sign=sign_commit(signer),
    )
    repo.store.publish()
    repo.record(
        "release create",
        arguments=[facts.name, facts.commit],
        changes=[change, *tag.changes],
        objects=[*prepared.objects, *tag.objects],
    )


def release_parts(facts: ReleaseFacts) -> dict[bytes, bytes]:
    """Make the documents of a release; the same facts give the same bytes.

    Raises
    ------
    FactsMalformedError
        If the facts are not such as can be kept.
    """
    return {
        FACTS: encode_facts(facts),
        STATEMENT: attestation(facts),
        CARD: dataset_card(facts),
        CARD_ZH: dataset_card(facts, "zh"),
        CROISSANT: croissant(facts),
        NOTES: facts.notes.encode("utf-8", "surrogatepass"),
    }


def free_name(repo: Workspace, name: str) -> ReleaseState | None:
    """See that a name is free; gives the announcement, where there is one.

    Raises
    ------
    ReleaseNameTakenError
        If a tag or a release has it.
    ReleaseStateError
        If it was announced, and that was withdrawn.
    """
    before = find_release(repo, name)
    if before is not None and before.created is not None:
        raise ReleaseNameTakenError(
            f"there is a release {name} already",
            hint="releases stay as they are: create another one",
            details={"release": name},
        )
    check_step(name, before, ReleaseVerb.CREATE)
    if repo.history.refs.get(tag_ref(name)) is not None:
        raise ReleaseNameTakenError(
            f"there is a tag {name} already", hint="choose another name", details={"tag": name}
        )
    return before


def _checked(about: About) -> About:
    for name in ("title", "description", "notes", "contact", "url"):
        text = getattr(about, name) or ""
        if len(text) > _MAX_NOTES or "\0" in text:
            raise UsageError(f"the {name} of a release is a text of at most {_MAX_NOTES >> 20} MiB")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UsageError(f"the {name} of a release is no UTF-8") from error
    return about


def consumer_names(consumers: Sequence[str]) -> tuple[str, ...]:
    """Give names of consumers back, each once; raises UsageError if one is none."""
    found = tuple(dict.fromkeys(" ".join(each.split()) for each in consumers))
    if not all(found) or max(map(len, found), default=0) > _MAX_NAME:
        raise UsageError(f"a consumer is a name of at most {_MAX_NAME} characters")
    return found


def _tips(repo: Workspace) -> dict[str, CommitId]:
    """Where refs are, that of the log of operations aside."""
    return {name: tip for name, tip in repo.history.refs.list().items() if name != OPERATIONS}


def _check_unmoved(repo: Workspace, known: dict[str, CommitId]) -> None:
    """Refuse where something came in that the gate didn't see."""
    tips = _tips(repo)
    moved = [
        name
        for name in sorted(known.keys() | tips.keys())
        if name.startswith(_JUDGED_BY) and known.get(name) != tips.get(name)
    ]
    if moved:
        raise ConcurrentChangeError(
            f"{moved[0]} changed while the gate judged; nothing was written",
            hint="run the command again",
            details={"refs": moved[:100]},
        )
