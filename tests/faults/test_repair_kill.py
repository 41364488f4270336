"""repair apply killed at any write: everything is as before or as after it, and the same command goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.model.defect import DefectStatus
from dsvc.model.repair import RepairVerb
from dsvc.porcelain.records.defect_chain import defect_ids, defect_state
from dsvc.porcelain.records.repair_chain import RepairStatus, repair_head, repair_ids
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.runs.rerun import Carrier
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.testing.checker import Expected, check, commit_contents, tree_state, unchanged
from dsvc.testing.faults import KILLS, BrokenPromiseError, Fault, points, run_in_child
from dsvc.testing.image import Image
from tests.defectkit import open_defect
from tests.faultkit import commit_all, open_in, repository, write
from tests.slim import in_slim_process

_RAW = b"id,word\n1,one\n2,two\n3,three\n4,four\n"
_STEPS = [
    ("label", "raw.csv", "labels.csv", "sed '2,$s/o/0/' raw.csv > labels.csv"),
    ("keep", "labels.csv", "kept.csv", "grep -v two labels.csv > kept.csv"),
]
_ENVIRON = {"PATH": "/usr/bin:/bin"}


def _prepare(root: str) -> None:
    Repository.init(root)
    repo = open_in(root)
    write(root, {b"raw.csv": _RAW, b"dsvc.toml": b'[tables."*.csv"]\nkey = ["id"]\n'})
    for name, source, target, line in _STEPS:
        spec = RunSpec(name=name, inputs=[source.encode()], outputs=[target.encode()])
        repo.run(spec, [line], environ=_ENVIRON)
    commit_all(repo, "data")
    entry = repo.manifest_of("HEAD").get(b"kept.csv")
    assert entry is not None
    defect = open_defect(repo, "f" * 12, entry, [0])
    repo.repair_plan(defect, values={"word": "un"}, at=b"labels.csv")
    write(root, {b"kept.csv": b"work that is not committed\n", b"mine": b"untracked\n"})
    repo.add([b"mine"])


def _apply(root: str) -> None:
    repo = open_in(root)
    repo.repair_apply(repair_ids(repo)[0], Carrier(environ=_ENVIRON))


def _states(repo: Repository) -> tuple[RepairStatus, DefectStatus, int]:
    repair = repair_head(repo, repair_ids(repo)[0])
    branches = repo.history.refs.list("refs/heads/repair/")
    return repair.status, defect_state(repo, defect_ids(repo)[0]).status, len(branches)


_DONE = (RepairStatus.APPLIED, DefectStatus.REPAIRING, 1)
_POSSIBLE = (
    (RepairStatus.PLANNED, DefectStatus.OPEN, 0),
    (RepairStatus.APPLYING, DefectStatus.OPEN, 0),
    _DONE,
)


class _World:
    """A repository before a repair, and what it comes to."""

    def __init__(self, folder: Path) -> None:
        before, after = str(folder / "before"), str(folder / "after")
        os.makedirs(before)
        _prepare(before)
        self.image = Image(before)
        self.files = unchanged(tree_state(before))
        with repository(before) as repo:
            head = repo.history.refs.head().commit
            assert head is not None
            self.commits = {head: commit_contents(repo, head)}
            self.staged = repo.staged().root
        self.image.lay_out(after)
        assert run_in_child(lambda: _apply(after)).error is None
        with repository(after) as repo:
            (tip,) = repo.history.refs.list("refs/heads/repair/").values()
            self.repaired = commit_contents(repo, tip)
            self.root = repo.history.read_commit(tip).manifest
        assert self.repaired[b"labels.csv"] == b"id,word\n1,un\n2,tw0\n3,three\n4,f0ur\n"

    def again(self, repo: Repository) -> None:
        """Apply it again: nothing is done twice, and it comes to the same."""
        known = repair_head(repo, repair_ids(repo)[0])
        _apply(repo.root)
        repo = open_in(repo.root)
        now = repair_head(repo, known.id)
        (tip,) = repo.history.refs.list("refs/heads/repair/").values()
        verbs = [step.operation.verb for step in reversed(now.history)]
        if _states(repo) != _DONE or known.steps.items() - now.steps.items():
            raise BrokenPromiseError(f"applied again, it is {_states(repo)}")
        if verbs != [RepairVerb.PLAN, RepairVerb.STEP, RepairVerb.STEP, RepairVerb.APPLY]:
            raise BrokenPromiseError(f"applied again, it did {verbs}")
        if repo.history.read_commit(tip).manifest != self.root or now.commit != str(tip):
            raise BrokenPromiseError("applied again, it comes to another version")
        if repo.staged().root != self.staged:
            raise BrokenPromiseError("what is staged changed")
        repo.backend.forget()

    def loop(self, folder: Path, fault: Fault, *, step: int, first: int) -> set[RepairStatus]:
        expected = Expected(commits=self.commits, possible=[self.repaired], files=self.files)
        seen = set()
        tried = points(self.image, str(folder), _apply, fault, step=step, first=first, ends=True)
        for root, _ in tried:
            with repository(root) as repo:
                states = _states(repo)
            if states not in _POSSIBLE:
                raise BrokenPromiseError(f"killed, it is {states}")
            seen.add(states[0])
            check(root, expected, rerun=self.again)
        return seen


@pytest.mark.parametrize(
    ("fault", "step", "first"), [(KILLS[0], 67, 31), (KILLS[1], 29, 12)], ids=["kill", "torn"]
)
@in_slim_process
def test_f1_killed_at_some_operations(fast_path: Path, fault: Fault, step: int, first: int) -> None:
    assert RepairStatus.PLANNED in _World(fast_path / "world").loop(fast_path, fault, step=step, first=first)


@pytest.mark.soak
@pytest.mark.parametrize("fault", KILLS, ids=lambda fault: fault.action.value)
@in_slim_process
def test_f1_killed_at_every_operation(fast_path: Path, fault: Fault) -> None:
    assert _World(fast_path / "world").loop(fast_path, fault, step=1, first=1) == {
        RepairStatus.PLANNED,
        RepairStatus.APPLYING,
        RepairStatus.APPLIED,
    }
