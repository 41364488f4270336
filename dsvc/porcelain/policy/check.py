"""check: the gate. What a version or a commit brings, judged by the policy in force."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.history.refs import OPERATIONS
from dsvc.lineage.source_tree import SourceTree
from dsvc.lineage.validation import Gate, Outcome, Severity, Violation
from dsvc.model.detection_run import DetectionRun
from dsvc.model.errors import CorruptDataError, DsvcError, MalformedInputError, MissingDataError
from dsvc.model.ids import CommitId
from dsvc.model.source_record import Status
from dsvc.model.ssh_key import SshKey
from dsvc.policy.engine import INCOMPLETE_EXIT, asked_at, judge, outcome_of, undecided, united
from dsvc.policy.rule import RuleUse
from dsvc.porcelain.policy.detections import RepositoryDetections, detected
from dsvc.porcelain.policy.judged_version import JudgedVersion, inherited, is_inherited, judged_version
from dsvc.porcelain.policy.policy_case import case_of
from dsvc.porcelain.policy.policy_in_force import InForce, Policy, for_release, in_force, invariants
from dsvc.porcelain.policy.verdict import CheckResult, PackInForce, RuleAsked
from dsvc.porcelain.policy.waivers import AppliedWaivers, apply_waivers
from dsvc.porcelain.state.commit_lineage import lineage_of, source_heads
from dsvc.porcelain.state.moment import Moment, now, parse_moment
from dsvc.porcelain.state.workspace import Workspace


class HistoryPartialError(MissingDataError):
    """A history has branches, and nothing of what dsvc keeps beside them."""

    code = "history-partial"


def check(
    repo: Workspace,
    rev: str | None = None,
    *,
    staged: bool = False,
    gate: Gate | None = None,
    target: str | None = None,
    policy: tuple[bytes, str] | None = None,
    as_of: str | None = None,
    rescan: bool = False,
    selected: frozenset[bytes] = frozenset(),
    release: str | None = None,
    moment: Moment | None = None,
) -> CheckResult:
    """Judge a version: the whole of it, or at the gate of commits what it adds and changes.

    Parameters
    ----------
    rev : str or None
        Which; None: HEAD.
    staged : bool
        Judge what is staged, with the runs that wait for a commit.
    gate : Gate or None
        Up to which gate rules are asked; None: commit and push.
    target : str or None
        Branch that it goes to, whose policy counts too; None: the version before.
    policy : (bytes, str) or None
        Content and name of a pack to ask too.
    as_of : str or None
        Date or time at which it is judged, knowing of sources, waivers and the target branch what was known
        then; None: now.
    rescan : bool
        Have detectors look again at what they have seen before.
    selected : frozenset of bytes
        Paths that are data whatever they are called: a release selects them by name.
    release : str or None
        The release that is to be made of it: the announcement of no other one counts.
    moment : Moment or None
        In place of `as_of`.

    Raises
    ------
    NotFoundError
        If there is no such revision.
    LineageRulesError
        If its ``dsvc.toml`` is malformed.
    PackError
        If `policy` is.
    MomentError
        If `as_of` is neither a date nor a time.
    """
    asked, moment = gate or Gate.PUSH, moment or parse_moment(as_of)
    try:
        version = judged_version(repo, rev, staged=staged, target=target, moment=moment)
        version = version._replace(selected=selected, release=release)
        _check_whole(repo, version)
        found = in_force(repo, version.root, version.bases, policy)
    except (MissingDataError, CorruptDataError, MalformedInputError) as error:
        return unreadable_version(asked, moment.day, error)
    return judge_version(repo, version, asked, moment, policy, found, rescan=rescan)


def changed_sources(repo: Workspace, commit: str) -> frozenset[str]:
    """Sources in force that state something else than the commit pinned: only the next one is judged by it.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If the lineage of the commit can't be read.
    """
    heads = source_heads(repo)
    pinned = lineage_of(repo, CommitId(commit)).sources()
    changed = {name: heads[name] for name, tree in pinned.items() if heads.get(name, tree.root) != tree.root}
    # That one is no longer in force counts at once.
    return frozenset(
        name for name, head in changed.items() if SourceTree(repo.store, head).record.status is Status.ACTIVE
    )


def _check_whole(repo: Workspace, version: JudgedVersion) -> None:
    """Refuse a copy of the branches alone: that a source was withdrawn stands in refs of dsvc's own.

    Every command that changes something is logged there, so a history without the log is no whole one.
    """
    if version.commit is not None and repo.history.refs.get(OPERATIONS) is None:
        raise HistoryPartialError(
            "the log of operations is missing: what dsvc keeps in refs/dsvc didn't come with the branches",
            hint="copy the folder .dsvc/git as it is, or take git clone --mirror",
        )


def check_commit(
    repo: Workspace,
    version: JudgedVersion,
    detections: list[DetectionRun],
    signer: SshKey | None = None,
) -> CheckResult | None:
    """Judge what a commit brings that is about to be made; None where no policy is named.

    Parameters
    ----------
    detections : list of DetectionRun
        Takes what detectors said of its files.
    signer : SshKey or None
        Who will sign it.
    """
    found = _in_force(repo, version)
    if not found.is_named:
        return None
    return judge_version(repo, version, Gate.COMMIT, now(), None, found, detections=detections, signer=signer)


def judge_version(
    repo: Workspace,
    version: JudgedVersion,
    gate: Gate,
    moment: Moment,
    more: tuple[bytes, str] | None = None,
    found: InForce | None = None,
    *,
    rescan: bool = False,
    detections: list[DetectionRun] | None = None,
    signer: SshKey | None = None,
) -> CheckResult:
    """Judge a version by the policies in force, and by the invariants of lineage."""
    found = found or _in_force(repo, version, more)
    if gate is Gate.RELEASE:
        found = for_release(found)
    day = moment.day
    violations = [_problem(problem) for problem in (*found.problems, *_clock_problems(found, moment))]
    said: list[DetectionRun] = []
    try:
        for policy in _policies(found, day):
            looked, more_violations = _judged(repo, version, policy, gate, moment, rescan=rescan)
            violations += more_violations
            if detections is not None:
                said += [run for run in looked.runs() if run not in said]
    except (MissingDataError, CorruptDataError, MalformedInputError) as error:
        # Not even what there is to be judged can be read; that is no answer, and no reason to let it pass.
        violations += undecided(_all_uses(found, gate, day), error)
        if not any(each.blocks for each in violations):
            # Where the packs in force ask no rule that blocks, nothing was judged all the same.
            violations.append(_problem(error.message))
    violations, waived = _waived(repo, version, united(violations), gate, moment, signer)
    if detections is not None:
        detections.extend(said)
    return CheckResult(
        outcome=outcome_of(violations),
        version=version.root.hex(),
        commit=None if version.commit is None else str(version.commit),
        stage=gate,
        as_of=day,
        packs=tuple(PackInForce(pack.name, pack.digest) for pack in found.packs),
        rules=_asked_rules(_all_uses(found, gate, day)),
        violations=tuple(violations),
        policy_changes=found.changes,
        waivers=() if waived is None else waived.uses,
        first_roster=None if waived is None else waived.roster.first_use,
        officers=() if waived is None else waived.roster.new_officers,
    )


def _in_force(repo: Workspace, version: JudgedVersion, more: tuple[bytes, str] | None = None) -> InForce:
    """Give the policies in force; one that can't be read is a problem, and lets nothing pass."""
    try:
        return in_force(repo, version.root, version.bases, more)
    except (MissingDataError, CorruptDataError, MalformedInputError) as error:
        return InForce((Policy(),), (), (error.message,))


def _waived(
    repo: Workspace,
    version: JudgedVersion,
    violations: list[Violation],
    gate: Gate,
    moment: Moment,
    signer: SshKey | None,
) -> tuple[list[Violation], AppliedWaivers | None]:
    """Mark what waivers let stand; where that can't be told they let nothing stand."""
    try:
        found = apply_waivers(repo, version, violations, moment.day, gate=gate, signer=signer, moment=moment)
    except (MissingDataError, CorruptDataError, MalformedInputError) as error:
        return [*violations, _problem(f"the roster can't be read: {error.message}")], None
    return found.violations, found


def _clock_problems(found: InForce, moment: Moment) -> list[str]:
    """Say that the clock can't be right: by one of long ago no rule holds yet, and nothing has expired."""
    made = invariants().packs[0].date
    if not found.is_named or moment.seconds is not None or moment.day >= made:
        return []
    return [f"the clock says {moment.day}, before {made}, when this dsvc was made"]


def _policies(found: InForce, day: str) -> list[Policy]:
    """Policies to ask; the invariants that no pack in force asks already come with the first."""
    first, *others = found.policies
    named = {use.rule.id for use in first.uses if use.terms.holds_on(day)}
    added = tuple(use for use in invariants().uses if use.rule.id not in named)
    return [first._replace(uses=(*added, *first.uses)), *others]


def _all_uses(found: InForce, gate: Gate, day: str) -> list[RuleUse]:
    return [use for policy in _policies(found, day) for use in asked_at(policy.uses, gate, day)]


def _judged(
    repo: Workspace, version: JudgedVersion, policy: Policy, gate: Gate, moment: Moment, *, rescan: bool
) -> tuple[RepositoryDetections, Sequence[Violation]]:
    uses = asked_at(policy.uses, gate, moment.day)
    case = case_of(repo, version, policy.settings, uses, gate, moment)
    case, looked = detected(repo, case, uses, rescan=rescan)
    violations = judge(uses, case)
    if gate is Gate.COMMIT and violations:
        before = inherited(repo, version, policy.settings, uses, moment, violations)
        violations = [each._replace(inherited=is_inherited(each, before, case)) for each in violations]
    return looked, violations


def _asked_rules(uses: Sequence[RuleUse]) -> tuple[RuleAsked, ...]:
    asked = {
        RuleAsked(use.rule.id, use.terms.severity, use.terms.clause, use.terms.verified, use.pack)
        for use in uses
    }
    return tuple(sorted(asked, key=lambda rule: (rule.id, rule.pack, rule.clause)))


def _problem(message: str) -> Violation:
    """A policy that can't be read lets nothing pass."""
    return Violation(
        "POLICY",
        Severity.BLOCKING,
        b"dsvc.toml",
        f"the policy can't be asked: {message}",
        "dsvc policy show says what is in force",
        "",
        Outcome.INCOMPLETE,
        settled_by="engineer",
        exit_code=INCOMPLETE_EXIT,
    )


def unreadable_version(gate: Gate, day: str, error: DsvcError) -> CheckResult:
    """Answer where not even the version can be read: nothing can be told of it."""
    uses = asked_at(invariants().uses, gate, day)
    violations = undecided(uses, error)
    return CheckResult(
        outcome=outcome_of(violations),
        stage=gate,
        as_of=day,
        rules=_asked_rules(uses),
        violations=tuple(violations),
    )
