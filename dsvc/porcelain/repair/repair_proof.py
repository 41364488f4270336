"""The proof of a repair: what differs between two versions, row by row, held against the plan.

It looks at contents, at the row maps of the new runs, and at nothing that applying the repair noted for
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from dsvc.diff.delta import Change
from dsvc.diff.manifest_diff import diff_manifests
from dsvc.feedback.proof import MAX_LISTED, count_of, held
from dsvc.lineage.artifacts import folder_digest, relative
from dsvc.lineage.run_check import check_run
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.model.repair import Plan, PlannedRows
from dsvc.model.repair_proof import ArtifactProof, Proof, Unproved, UnprovedReason
from dsvc.model.run_record import RunId
from dsvc.porcelain.repair.repair_descent import Descent, Difference, sets_of
from dsvc.porcelain.repair.repair_edits import Edits, RepairValueError, unmet
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.state.workspace import Workspace
from dsvc.table.origin.source import NotATableError, TableLimitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]


def prove(
    repo: Workspace,
    plan: Plan,
    before: NodeId,
    after: NodeId,
    runs: Mapping[int, RunId],
    *,
    edits: Edits | None = None,
    code: Mapping[bytes, bytes] | None = None,
) -> Proof:
    """Hold two versions against a plan.

    Parameters
    ----------
    before, after : NodeId
        Roots of their manifests.
    runs : mapping of int to RunId
        New runs, by the place of their step in the plan.
    edits : Edits or None
        What the action does to rows of its artifact; None: nothing, it does a run again.
    code : mapping of bytes to bytes or None
        Files of code that shall be other ones, with their digests.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a version, a run or a row map can't be read.
    """
    return _Prover(repo, plan, before, after, runs, code or {}).proof(edits)


_OWN: Final = ("flagged_changed", "selected_changed")
_ALL: Final = ("consequent_changed", "others_changed")


class _Prover:
    def __init__(
        self,
        repo: Workspace,
        plan: Plan,
        before: NodeId,
        after: NodeId,
        runs: Mapping[int, RunId],
        code: Mapping[bytes, bytes],
    ) -> None:
        self._repo = repo
        self._plan = plan
        self._before, self._after = repo.manifest(before), repo.manifest(after)
        self._code = code
        self._descent = Descent(repo, plan, runs)
        self._folders = [each for each in plan.rows if each.folder]
        self._unproved: list[Unproved] = []

    def proof(self, edits: Edits | None) -> Proof:
        changes = list(diff_manifests(self._before, self._after))
        artifacts = [*self._files(changes), *self._members(changes)]
        flaws = self._flaws()
        # Flagged and selected rows are the defect's; what they were made from has them once more.
        own = [each for each in artifacts if each.path == self._plan.subject] or artifacts
        total = {name: sum(getattr(each, name) for each in own) for name in _OWN}
        total |= {name: sum(getattr(each, name) for each in artifacts) for name in _ALL}
        return Proof(
            **total,
            conserved=not flaws,
            files_unchanged=self._before.totals()[0] - sum(each.old is not None for each in changes),
            unproved=tuple(dict.fromkeys(self._unproved)),
            artifacts=tuple(artifacts),
            not_as_asked=0 if edits is None else self._not_as_asked(edits),
            flaws=tuple(flaws),
        )

    # Files

    def _files(self, changes: Iterable[Change]) -> Iterator[ArtifactProof]:
        """Judge each file that differs, but for those that only folders of the plan have."""
        for change in changes:
            old, new = change.old, change.new
            planned = None if old is None else self._descent.planned(old.path, old.digest)
            if planned is not None and not planned.folder:
                yield self._file(change, planned)
            elif new is not None and self._code.get(change.path) == new.digest and old is not None:
                continue
            elif not any(_is_below(each, change.path) for each in self._folders):
                yield self._file(change, None)

    def _file(self, change: Change, planned: PlannedRows | None) -> ArtifactProof:
        """Judge a file; one without rows counts as one."""
        old, new = change.old, change.new
        found = None
        if old is not None and new is not None:
            try:
                found = self._descent.difference(_alone(old), _alone(new))
            except (NotATableError, TableLimitError):
                found = None  # as good as a file without rows
        proof = _named(change.path, old, new)
        if found is not None and old is not None and new is not None and old.mode == new.mode:
            return self._rows(proof, found, planned)
        if planned is None or (new is not None and old is not None and old.mode != new.mode):
            return msgspec.structs.replace(proof, others_changed=1)
        if new is None:
            return self._gone(proof, planned)
        self._unproved.append(Unproved(change.path, UnprovedReason.NO_ROWS))
        return proof

    def _gone(self, proof: ArtifactProof, planned: PlannedRows) -> ArtifactProof:
        """Judge an artifact that isn't there any more: all of its rows are gone."""
        every = np.arange(planned.records, dtype=np.int64)
        if planned.unknown:
            self._unproved.append(Unproved(planned.path, UnprovedReason.ANY_ROW))
        return _counted(proof, planned, every, every[:0], every[:0])

    def _rows(self, proof: ArtifactProof, found: Difference, planned: PlannedRows | None) -> ArtifactProof:
        proof = msgspec.structs.replace(proof, came=len(found.came))
        if not found.mapped:
            self._unproved.append(Unproved(proof.path, UnprovedReason.NO_MAP))
        malformed = abs(found.malformed[0] - found.malformed[1])
        if any(found.malformed):
            self._unproved.append(Unproved(proof.path, UnprovedReason.MALFORMED))
        if planned is None:
            others = max(len(found.gone), len(found.came), 1)
            return msgspec.structs.replace(
                proof, others_changed=others, others=_first(found.gone), strange=_first(found.came)
            )
        if planned.unknown:
            self._unproved.append(Unproved(proof.path, UnprovedReason.ANY_ROW))
        counted = _counted(proof, planned, found.gone, found.strange, found.reached)
        return msgspec.structs.replace(counted, others_changed=counted.others_changed + malformed)

    # Folders whose files are the rows

    def _members(self, changes: Iterable[Change]) -> Iterator[ArtifactProof]:
        paths = [change.path for change in changes]
        for planned in self._folders:
            touched = [path for path in paths if _is_below(planned, path)]
            if not touched:
                continue
            files = self._listing(planned)
            if files is None:
                self._unproved.append(Unproved(planned.path, UnprovedReason.LISTING))
                yield ArtifactProof(
                    path=planned.path, before=planned.digest, after=b"", others_changed=len(touched)
                )
                continue
            yield self._folder(planned, files, touched)

    def _folder(self, planned: PlannedRows, files: list[Entry], touched: list[bytes]) -> ArtifactProof:
        known = {entry.path for entry in files}
        paths = {*known, *(path for path in touched if self._before.get(path) is None)}
        now = tuple(entry for path in sorted(paths) if (entry := self._after.get(path)) is not None)
        old = ArtifactFiles(planned.path, True, tuple(files))
        new = ArtifactFiles(planned.path, True, now)
        found = self._descent.difference(old, new)
        assert found is not None
        digest = new.artifact().digest
        proof = self._rows(
            ArtifactProof(path=planned.path, before=planned.digest, after=digest), found, planned
        )
        # What lies in the folder and is no file of it, nor of another artifact of the plan, is not planned.
        beside = [
            path
            for path in touched
            if path not in paths
            and path not in self._code
            and (entry := self._before.get(path)) is not None
            and self._descent.planned(path, entry.digest) is None
        ]
        return msgspec.structs.replace(proof, others_changed=proof.others_changed + len(beside))

    def _listing(self, planned: PlannedRows) -> list[Entry] | None:
        """Files that a folder had, by path; None where nothing has that listing any more."""
        for files in self._listings(planned.path):
            members = relative(files, planned.path)
            if folder_digest((each.path, each.mode, each.digest) for each in members) == planned.digest:
                return sorted(files, key=lambda entry: entry.path)
        return None

    def _listings(self, path: bytes) -> Iterator[list[Entry]]:
        yield list(self._before.entries(path))
        trees = [tree for pair in self._descent.runs for tree in pair if tree is not None]
        for tree in trees:
            for number, each in enumerate(tree.run.outputs):
                if each.folder and each.path == path:
                    yield tree.output_files(number)
            for number, read in enumerate(tree.run.inputs):
                if read.folder and read.path == path:
                    yield tree.input_files(number)

    # Runs

    def _flaws(self) -> list[str]:
        """What is wrong with the account that new runs give of their rows."""
        found = []
        for new, old in self._descent.runs:
            name = f"run {new.id.short()} ({new.run.name})"
            found += [f"{name}: {flaw.message}" for flaw in check_run(new)]
            if new.run.complete:
                continue
            if old is None or old.run.complete:
                why = "; ".join(new.run.problems) or "rows are not accounted for"
                found.append(f"{name}: {why}")
            else:
                self._unproved += [Unproved(each.path, UnprovedReason.INCOMPLETE) for each in new.run.outputs]
        return found

    # The action

    def _not_as_asked(self, edits: Edits) -> int:
        """Count rows of the edited artifact that are not as the action says."""
        plan = self._plan
        planned = self._descent.planned(plan.path, plan.digest)
        if planned is None:
            return len(edits.rows)
        if planned.folder:
            files = self._listing(planned) or []
            there = [files[row] for row in edits.drop.tolist() if row < len(files)]
            return sum(self._after.get(entry.path) is not None for entry in there)
        old, new = self._before.get(plan.path), self._after.get(plan.path)
        if old is None or new is None:
            return len(edits.rows)
        try:
            found = self._descent.difference(_alone(old), _alone(new))
            if found is None:
                return len(edits.rows)
            count = len(np.setdiff1d(edits.drop, found.gone))
            cells = {
                name: each._replace(rows=each.rows - np.searchsorted(edits.drop, each.rows))
                for name, each in edits.cells.items()
            }
            most = max((int(each.rows[-1]) for each in cells.values() if len(each.rows)), default=-1)
            if most >= count_of(found.after):
                return len(edits.rows)
            return count + len(unmet(self._repo, new, cells))
        except (NotATableError, TableLimitError, RepairValueError):
            return len(edits.rows)


def _alone(entry: Entry) -> ArtifactFiles:
    return ArtifactFiles(entry.path, False, (entry,))


def _is_below(planned: PlannedRows, path: bytes) -> bool:
    return not planned.path or path.startswith(planned.path + b"/")


def _named(path: bytes, old: Entry | None, new: Entry | None) -> ArtifactProof:
    return ArtifactProof(
        path=path, before=b"" if old is None else old.digest, after=b"" if new is None else new.digest
    )


def _counted(
    proof: ArtifactProof, planned: PlannedRows, gone: Numbers, strange: Numbers, reached: Numbers
) -> ArtifactProof:
    """Count rows that are gone by the sets of the plan; a row that changed is one gone and one that came."""
    found = held(gone, sets_of(planned), reached)
    return msgspec.structs.replace(
        proof,
        flagged_changed=found.flagged,
        selected_changed=found.selected,
        consequent_changed=found.consequent,
        further=found.further,
        others_changed=max(len(found.others), len(strange)),
        others=_first(found.others),
        strange=_first(strange),
    )


def _first(rows: Numbers) -> tuple[int, ...]:
    return tuple(rows[:MAX_LISTED].tolist())
