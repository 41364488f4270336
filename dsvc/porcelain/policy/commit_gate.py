"""The gate of `commit`: a policy lets in or refuses; without one, what nothing covers is counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.history.trailers import Trailer
from dsvc.model.detection_run import DetectionRun
from dsvc.model.errors import (
    BlockingDefectError,
    DsvcError,
    LineageBrokenError,
    PolicyDeniedError,
    PolicyIncompleteError,
)
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.paths import display_path
from dsvc.model.ssh_key import SshKey
from dsvc.porcelain.lineage.coverage import CommitCoverage, coverage_of_commit
from dsvc.porcelain.policy.recorded_verdict import verdict_trailer
from dsvc.porcelain.records.lineage_facts import rules_file
from dsvc.porcelain.state.commit_lineage import CommitLineage
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_rules import RULES_FILE

if TYPE_CHECKING:
    from dsvc.porcelain.policy.verdict import CheckResult

_LISTED: Final = 10
_REFUSALS: Final[dict[int, type[DsvcError]]] = {
    each.exit_code: each
    for each in (LineageBrokenError, PolicyDeniedError, PolicyIncompleteError, BlockingDefectError)
}


class LetIn(NamedTuple):
    """What the gate says of a commit that it lets in.

    Attributes
    ----------
    verdict : str or None
        ``PASS`` by the policy in force; None where none is.
    coverage : CommitCoverage
        What nothing covers, where no policy is named.
    warnings : tuple of str
        What does not block.
    detections : tuple of DetectionRun
        What detectors said of its files; the commit keeps it.
    digest : str or None
        Digest of the verdict, in hex.
    """

    verdict: str | None
    coverage: CommitCoverage
    warnings: tuple[str, ...]
    detections: tuple[DetectionRun, ...] = ()
    digest: str | None = None

    @property
    def trailers(self) -> tuple[Trailer, ...]:
        """What the commit says of it: the outcome, with the digest of the whole verdict."""
        if self.verdict is None or self.digest is None:
            return ()
        return (verdict_trailer(self.verdict, self.digest),)


def commit_gate(
    repo: Workspace,
    parents: Sequence[CommitId],
    root: NodeId,
    lineage: CommitLineage,
    signer: SshKey | None = None,
) -> LetIn:
    """Judge what a commit brings.

    Parameters
    ----------
    signer : SshKey or None
        Who will sign it.

    Raises
    ------
    LineageBrokenError, PolicyDeniedError, PolicyIncompleteError, BlockingDefectError
        If a policy refuses it.
    MissingDataError, CorruptDataError, MalformedInputError
        If no policy is named, and a manifest or a lineage can't be read.
    """
    if not _may_name_policy(repo, parents, root):
        found = coverage_of_commit(repo, parents, root, lineage)
        return LetIn(None, found, found.unreadable)
    from dsvc.policy.waivers import Standing
    from dsvc.porcelain.policy.check import check_commit
    from dsvc.porcelain.policy.judged_version import planned_version

    detections: list[DetectionRun] = []
    result = check_commit(repo, planned_version(repo, root, parents, lineage), detections, signer)
    if result is None:
        found = coverage_of_commit(repo, parents, root, lineage)
        return LetIn(None, found, found.unreadable)
    blocking = [each for each in result.violations if each.blocks]
    if blocking:
        packs = ", ".join(result.policy) or "dsvc.toml"
        lines = [
            f"{each.rule} {each.sentence}" + (f"; {each.hint}" if each.hint else "")
            for each in blocking[:_LISTED]
        ]
        if len(blocking) > _LISTED:
            lines.append(f"and {len(blocking) - _LISTED} more")
        lines += [
            f"waiver {use.id} of {use.rule or 'an unknown rule'} doesn't count: {use.why}"
            for use in result.waivers
            if use.standing is not Standing.COUNTS
        ][:_LISTED]
        raise _REFUSALS[result.gate_exit_code](
            "\n  ".join([f"the policy ({packs}) refuses this commit:", *lines]),
            hint="dsvc check --staged says more; --no-verify commits all the same, and the commit says so",
            details={
                "policy": list(result.policy),
                "violations": [
                    {"rule": each.rule, "subject": display_path(each.subject), "message": each.message}
                    for each in blocking
                ],
            },
        )
    warnings = tuple(_warnings(result))
    return LetIn(result.outcome.value, CommitCoverage(), warnings, tuple(detections), result.digest)


def _warnings(result: CheckResult) -> Iterator[str]:
    """Say what is wrong and let in all the same, and by which waiver."""
    if result.first_roster is not None:
        yield f"the roster in dsvc.toml is the first, and trusted from now on: {', '.join(result.officers)}"
    waivers = {use.id: use for use in result.waivers}
    for each in result.violations[:_LISTED]:
        use = waivers.get(each.waiver or "")
        waived = "" if use is None else f"; waived until {use.until}, {use.why}: {use.reason}"
        yield f"{each.rule} {each.sentence}{waived}"


def join_gate(
    repo: Workspace,
    parents: Sequence[CommitId],
    root: NodeId,
    lineage: CommitLineage,
    signer: SshKey | None = None,
) -> LetIn | None:
    """Judge what a merge, a pick or a revert brings, as `commit_gate`; None where no policy is named."""
    if not _may_name_policy(repo, parents, root):
        return None
    return commit_gate(repo, parents, root, lineage, signer)


def _may_name_policy(repo: Workspace, parents: Sequence[CommitId], root: NodeId) -> bool:
    """Whether a ``dsvc.toml`` that counts has a section ``[policy]``, or what may be meant as one."""
    from dsvc.policy.settings import PolicySettingsError, is_like_policy
    from dsvc.table.rules_file import read_document

    target = repo.history.refs.get(f"refs/heads/{repo.config.get('policy.target')}")
    commits = [each for each in (target, *parents[:1]) if each is not None]
    try:
        for each in dict.fromkeys([root, *(repo.history.read_commit(commit).manifest for commit in commits)]):
            data = rules_file(repo, each)
            document = {} if data is None else read_document(data, RULES_FILE, PolicySettingsError)
            if any(is_like_policy(key) for key in document):
                return True
    except DsvcError:
        # What can't be read is asked in earnest, and answered by the gate.
        return True
    return False
