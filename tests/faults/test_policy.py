"""The gate without room, beside others, and killed: it changes caches alone, and speaks of one state."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.porcelain.policy.verdict import CheckResult
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.testing.faults import Fault, run_in_child
from tests.faultkit import Scenario, open_in
from tests.lineagekit import numbered
from tests.policyworlds import (
    good,
    image,
    passed,
    staged,
    verdict,
    warm,
)
from tests.slim import in_slim_process

# What the gate writes


def state(root: str) -> dict[str, bytes]:
    """Everything in a repository but its caches and locks."""
    base = Path(root, ".dsvc")
    return {
        str(each.relative_to(base)): each.read_bytes()
        for each in base.rglob("*")
        if each.is_file() and each.relative_to(base).parts[0] not in ("cache", "locks")
    }


@pytest.mark.parametrize("action", [None, Action.ENOSPC, Action.EIO])
@pytest.mark.parametrize("name", ["good", "secret"])
def test_f7_f8_a_check_needs_no_place_and_changes_nothing(
    fast_path: Path, name: str, action: Action | None
) -> None:
    for waits in (True, False):
        root = str(fast_path / f"case-{waits}")
        image(name, waits).lay_out(root)
        shutil.rmtree(os.path.join(root, ".dsvc", "cache"))
        os.mkdir(os.path.join(root, ".dsvc", "cache"))
        before = state(root)
        if action is None:
            found = verdict(root, staged=waits)
        else:
            with armed(Plan(action=action, at=1, persistent=True)):
                found = verdict(root, staged=waits)
        assert passed(found) == (name == "good")
        assert state(root) == before


# Others at work


def test_f31_a_check_beside_others_is_of_one_state(fast_path: Path) -> None:
    root = str(fast_path / "case")
    image("no source", False).lay_out(root)
    enough = fast_path / "enough"

    def others() -> None:
        for number in range(100):
            if number >= 6 and enough.exists():
                break
            repo = open_in(root)
            Path(root, f"new{number}.csv").write_bytes(numbered(number + 1, "new"))
            repo.add(all=True)
            repo.source_add(
                f"new{number}",
                [f"new{number}.csv".encode()],
                fields={
                    "title": "x",
                    "acquisition": "self_generated",
                    "legal_basis": "consent",
                    "license_expression": "CC0-1.0",
                },
            )
            repo.commit(f"{number}", no_verify=True)
            repo.gc(grace_seconds=0)

    pid = os.fork()
    if pid == 0:
        try:
            outcome = run_in_child(others)
            os._exit(0 if outcome.error is None else 1)
        finally:
            os._exit(1)
    status, count = None, 0
    while status is None:
        found = verdict(root)
        assert not passed(found)
        if isinstance(found, CheckResult):
            assert ("SRC-01", b"more.csv") in {(each.rule, each.subject) for each in found.violations}
        count += 1
        if count > 1:
            enough.touch()
        done, code = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if done else None
    assert (status, count > 1) == (0, True)


# Killed


@in_slim_process
def test_f1_a_commit_under_policy_is_killed_at_every_write(fast_path: Path) -> None:
    warm()

    def prepare(root: str) -> None:
        os.rmdir(root)
        made.lay_out(root)

    def command(repo: Repository) -> None:
        repo.commit("in")

    made = staged(fast_path / "made", good)
    scenario = Scenario.make(fast_path / "scenario", prepare, command, already=("nothing-to-commit",))
    assert scenario.loop(fast_path, Fault(action=Action.KILL), step=9)
    root = str(fast_path / "after")
    made.lay_out(root)
    repo = open_in(root)
    found = repo.commit("in")
    assert found.verdict == "PASS"
    repo.gc(grace_seconds=0)
    (said,) = lineage_of(open_in(root), found.commit).detections()
    assert {path for path, _ in said.clean} == {b"clean.csv", b"raw.csv"}
