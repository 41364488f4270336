"""The roster in force: the first is trusted on first use, each after it where an officer signed the change.

What a ``dsvc.toml`` lists is only a claim. So the history is walked: a commit that changes the section
``[roles]`` puts it in force if it is signed with the key of a compliance officer of the roster before; else
that stays. A merge takes the roster of the side that went on; where both did, it has to be signed too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from dsvc.history.commit_codec import Commit
from dsvc.history.ssh_signature import COMMITS, SignatureUnverifiableError, verify
from dsvc.lineage.validation import Outcome, Severity, Violation
from dsvc.model.errors import MalformedInputError, UsageError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.ssh_key import SshKey
from dsvc.policy.roster import Role, Roster, read_roster
from dsvc.porcelain.records.lineage_facts import rules_file
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_rules import RULES_FILE

ROLES: Final = "ROLES"
"""Id of the rule that a change of the roster is signed; no pack names it, and nothing waives it."""

_CLAUSE: Final = "AUD-02"
_HINT: Final = "a compliance_officer of the roster before commits the change with dsvc commit --sign"


class Unreadable(NamedTuple):
    """A roster that is malformed: none, and never the first one."""

    problem: str


class Refusal(NamedTuple):
    """Why a commit may not change the roster.

    Attributes
    ----------
    why : str
    commit : CommitId or None
        None for a version that is no commit yet.
    untold : bool
        Whether its signature could not be checked.
    """

    why: str
    commit: CommitId | None = None
    untold: bool = False


Claim = Roster | Unreadable | None
_Line = tuple[Roster | None, ...]
_May = Callable[[Roster], Refusal | None]


class RosterState(NamedTuple):
    """What a history has come to.

    Attributes
    ----------
    trusted : Roster or None
        The roster in force.
    claim : Roster, Unreadable or None
        What stands in ``dsvc.toml``.
    line : tuple of (Roster or None)
        Rosters that were in force, the oldest first, `trusted` last.
    first : CommitId or None
        The commit whose roster was trusted on first use.
    refused : tuple of Refusal
        Changes of the claim since it was last in force.
    apart : tuple of tuple
        Lines of merged sides that went another way; an officer of the last roster of each has to sign.
    united : tuple of tuple
        Lines of other sides that were united with this one, each signed by its officers.
    """

    trusted: Roster | None = None
    claim: Claim = None
    line: _Line = ()
    first: CommitId | None = None
    refused: tuple[Refusal, ...] = ()
    apart: tuple[_Line, ...] = ()
    united: tuple[_Line, ...] = ()


class RosterInForce(NamedTuple):
    """The roster by which waivers are judged.

    Attributes
    ----------
    roster : Roster or None
    first : CommitId or None
        The commit whose roster was trusted on first use.
    is_new : bool
        Whether that first use is the judged version's own, which is to be shown.
    violations : tuple of Violation
        Changes of the roster that no officer signed.
    is_inherited : bool
        Whether the version before had them already.
    """

    roster: Roster | None = None
    first: CommitId | None = None
    is_new: bool = False
    violations: tuple[Violation, ...] = ()
    is_inherited: bool = False

    @property
    def first_use(self) -> str | None:
        """The commit whose roster the judged version is the first to trust, or ``STAGED``."""
        return str(self.first or "STAGED") if self.is_new else None

    @property
    def new_officers(self) -> tuple[str, ...]:
        """Officers of a roster that is trusted on first use."""
        if self.roster is None or not self.is_new:
            return ()
        officers = self.roster.roles.get(Role.COMPLIANCE_OFFICER, ())
        return tuple(f"{each.comment} {each.key.fingerprint}".strip() for each in officers)


def roster_in_force(
    repo: Workspace,
    root: NodeId,
    commit: CommitId | None,
    parents: Sequence[CommitId],
    target: CommitId | None = None,
    signer: SshKey | None = None,
) -> RosterInForce:
    """Find the roster in force for a version, and what it changes of it without a right to.

    Parameters
    ----------
    root : NodeId
        Manifest of the version.
    commit : CommitId or None
        None where it is no commit yet.
    parents : sequence of CommitId
    target : CommitId or None
        Head of the branch that it goes to, where that isn't itself.
    signer : SshKey or None
        Who will sign it, where it is no commit yet.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a commit or a manifest can't be read.
    """
    walk = _Walk(repo)
    states = walk.states([*parents, *(each for each in (commit, target) if each is not None)])
    if commit is None:
        before = [states[parent] for parent in parents]
        judged = _next(None, walk.claim(root), before, lambda roster: _will_sign(signer, roster))
    else:
        judged = states[commit]
    base = _furthest([states[each] for each in ([target] if target is not None else parents)])
    anchored = base.trusted is not None and base.trusted.has_officer
    anchor = base if anchored else judged
    return RosterInForce(
        roster=anchor.trusted,
        first=anchor.first,
        is_new=not anchored and judged.trusted is not None and judged.trusted.has_officer,
        violations=tuple(_violations(judged, base if anchored else None)),
        is_inherited=bool(parents) and judged == states[parents[0]],
    )


def _will_sign(signer: SshKey | None, roster: Roster) -> Refusal | None:
    if signer is None:
        return Refusal("it is not signed")
    return None if roster.is_officer(signer) else Refusal(f"{signer.fingerprint} is no compliance_officer")


def _violations(judged: RosterState, base: RosterState | None) -> list[Violation]:
    """Say what is wrong with the roster that a version claims."""
    if judged.claim != judged.trusted or judged.apart:
        return [_violation(each) for each in judged.refused]
    if base is None or judged.trusted == base.trusted:
        return []
    if _goes_on(base, judged) or _goes_on(judged, base):
        return []
    return [_violation(Refusal("the branch that it goes to has changed its roster in another way"))]


def _violation(found: Refusal) -> Violation:
    who = "it" if found.commit is None else f"commit {found.commit[:12]}"
    return Violation(
        ROLES,
        Severity.BLOCKING,
        RULES_FILE.encode(),
        f"{who} changes the roster, [roles], without a right to: {found.why}",
        _HINT,
        _CLAUSE,
        Outcome.INCOMPLETE if found.untold else Outcome.FAIL,
        settled_by="compliance_officer",
        exit_code=21 if found.untold else 20,
    )


# The walk


def _goes_on(old: RosterState, new: RosterState) -> bool:
    """Whether a history has the rosters of another one, and maybe more after them."""
    return any(line[: len(old.line)] == old.line for line in (new.line, *new.united))


def _furthest(states: Sequence[RosterState]) -> RosterState:
    """Of histories that meet, the one that has what the others have; the first where none has."""
    found = states[0] if states else RosterState()
    for other in states[1:]:
        if _goes_on(found, other):
            found = other
    return found


def _next(id_: CommitId | None, claim: Claim, before: Sequence[RosterState], may: _May) -> RosterState:
    """Go on by one commit."""
    if not before:
        return _changed(id_, claim, RosterState(), may)
    state = _furthest(before)
    if _apart(state, before):
        return _reunited(id_, claim, state, before, may)
    if claim == state.claim:
        return state
    if claim == state.trusted:
        return state._replace(claim=claim, refused=())
    return _changed(id_, claim, state, may)


def _apart(state: RosterState, before: Sequence[RosterState]) -> tuple[_Line, ...]:
    """Lines that meet `state` here, or met it before, and went another way."""
    found = [line for each in before for line in each.apart]
    for each in before:
        if each.trusted is not None and each.trusted.has_officer and not _goes_on(each, state):
            found.append(each.line)
    return tuple(dict.fromkeys(line for line in found if line[-1] != state.trusted))


def _changed(id_: CommitId | None, claim: Claim, state: RosterState, may: _May) -> RosterState:
    """Take over what a commit claims, where it may."""
    if isinstance(claim, Unreadable):
        return state._replace(claim=claim, refused=(*state.refused, Refusal(claim.problem, id_)))
    if state.trusted is None or not state.trusted.has_officer:
        used = id_ if claim is not None and claim.has_officer else None
        return RosterState(claim, claim, (*state.line, claim), used)
    refusal = may(state.trusted)
    if refusal is not None:
        return state._replace(claim=claim, refused=(*state.refused, refusal))
    return RosterState(claim, claim, (*state.line, claim), state.first, united=state.united)


def _reunited(
    id_: CommitId | None, claim: Claim, state: RosterState, before: Sequence[RosterState], may: _May
) -> RosterState:
    """Unite histories whose rosters went apart; an officer of each signs, or the first one's stays."""
    apart = _apart(state, before)
    sides = [line[-1] for line in (state.line, *apart)]
    refusals = [
        refusal
        for roster in sides
        if roster is not None and roster.has_officer and (refusal := may(roster)) is not None
    ]
    if isinstance(claim, Unreadable):
        refusals.append(Refusal(claim.problem, id_))
    elif not refusals:
        united = dict.fromkeys([*apart, *(line for each in before for line in (each.line, *each.united))])
        return RosterState(claim, claim, (*state.line, claim), state.first, united=tuple(united))
    return state._replace(claim=claim, apart=apart, refused=(*state.refused, refusals[0]))


class _Walk:
    """Reads what commits claim, each ``dsvc.toml`` once."""

    def __init__(self, repo: Workspace) -> None:
        self._repo = repo
        self._claims: dict[bytes, Claim] = {}
        self._by_root: dict[NodeId, Claim] = {}

    def states(self, tips: Sequence[CommitId]) -> dict[CommitId, RosterState]:
        """Walk all that commits descend from, the oldest first."""
        found: dict[CommitId, RosterState] = {}
        for commit in reversed(list(self._repo.history.log(list(dict.fromkeys(tips))))):
            before = [found[parent] for parent in commit.parents]
            found[commit.id] = _next(commit.id, self.claim(commit.manifest), before, self._judge_of(commit))
        return found

    def claim(self, root: NodeId) -> Claim:
        """Give what a version claims."""
        if root not in self._by_root:
            entry = self._repo.manifest(root).get(RULES_FILE.encode())
            if entry is None:
                return self._by_root.setdefault(root, None)
            if entry.digest not in self._claims:
                self._claims[entry.digest] = self._read(root)
            self._by_root[root] = self._claims[entry.digest]
        return self._by_root[root]

    def _read(self, root: NodeId) -> Claim:
        try:
            return read_roster(rules_file(self._repo, root), RULES_FILE)
        except UsageError as error:
            return Unreadable(error.message)

    def _judge_of(self, commit: Commit) -> _May:
        return lambda roster: self._may(commit, roster)

    def _may(self, commit: Commit, roster: Roster) -> Refusal | None:
        """Tell why a commit may not change a roster; None where an officer of it signed."""
        if commit.signature is None:
            return Refusal("it is not signed", commit.id)
        try:
            key = verify(commit.signature, self._repo.history.signed_bytes(commit.id), COMMITS)
        except SignatureUnverifiableError as error:
            return Refusal(error.message, commit.id, untold=True)
        except MalformedInputError as error:
            return Refusal(error.message, commit.id)
        if not roster.is_officer(key):
            return Refusal(f"{key.fingerprint} is no compliance_officer of the roster before", commit.id)
        return None
