"""The gate never passes by accident: whatever is gone, damaged or broken, what is refused stays out."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import pytest
from blake3 import blake3

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.lineage.validation import Outcome
from dsvc.model.errors import DsvcError
from dsvc.porcelain import detections
from dsvc.porcelain.commit_lineage import lineage_of
from dsvc.porcelain.detector_child import run_jobs
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.verdict import CheckResult
from dsvc.store.block import ItemType
from dsvc.testing.faults import Fault, Image, run_in_child, tried
from tests.faultkit import Scenario, open_in
from tests.lineagekit import numbered
from tests.policyworlds import (
    LICENCE,
    REFUSED,
    Stored,
    commits,
    committed,
    good,
    objects,
    policy,
    put_packs,
    staged,
    verdict,
    warm,
)
from tests.slim import in_slim_process

EVERY = pytest.param(1, marks=pytest.mark.soak, id="all")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Image]:
    """Repositories by name, waiting for a commit or committed past the gate; each is made once."""
    warm()
    folder = tmp_path_factory.mktemp("worlds")

    @lru_cache
    def image(name: str, waits: bool) -> Image:
        world = good if name == "good" else REFUSED[name]
        return (staged if waits else committed)(folder / f"{name}-{waits}", world)

    return image


def passed(found: CheckResult | DsvcError) -> bool:
    return isinstance(found, CheckResult) and (found.outcome is Outcome.PASS or found.gate_exit_code == 0)


def refused(root: str, *, waits: bool) -> None:
    """See that a gate does not let through what it refuses."""
    found = verdict(root, staged=waits)
    assert not passed(found)
    assert not isinstance(found, DsvcError) or found.exit_code not in (0, 50)
    if waits:
        assert not commits(root)
    tried("hostile cases")


def damaged(root: str, every: int) -> Iterator[Stored]:
    """Take some objects away and change a bit of others, one at a time."""
    found = objects(root)
    for number, item in enumerate(found):
        if number % every == 0:
            put_packs(root, [each for each in found if each is not item])
            yield item
            flipped = item._replace(data=item.data[:-1] + bytes([item.data[-1] ^ 1]))
            put_packs(root, [flipped if each is item else each for each in found])
            yield item
    put_packs(root, found)


# What is stored


@pytest.mark.parametrize("every", [pytest.param(3, id="some"), EVERY])
@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_passes_with_no_object_damaged(
    images: Callable[[str, bool], Image], fast_path: Path, name: str, waits: bool, every: int
) -> None:
    root = str(fast_path / "case")
    images(name, waits).lay_out(root)
    refused(root, waits=waits)
    for _ in damaged(root, every):
        refused(root, waits=waits)


def test_what_passes_needs_all_that_is_recorded(
    images: Callable[[str, bool], Image], fast_path: Path
) -> None:
    root = str(fast_path / "case")
    images("good", False).lay_out(root)
    whole = verdict(root, as_of="2999-01-01")
    assert passed(whole)
    repo = open_in(root)
    content = {entry.digest for entry in repo.manifest_of("HEAD").entries()}
    # The gate compares digests: whether the bytes still have them is for `fsck --read-data`.
    content.add(blake3(LICENCE % b"web").digest())
    before = {bytes(repo.manifest_of("HEAD~1").root)}
    kept = []
    for item in damaged(root, 1):
        found = verdict(root, as_of="2999-01-01")
        if passed(found):
            assert isinstance(found, CheckResult)
            assert isinstance(whole, CheckResult)
            assert found.bytes == whole.bytes
            kept.append(item)
    assert {each.id for each in kept} <= content | before
    assert all(each.type == ItemType.CHUNK or each.id in before for each in kept)


@pytest.mark.parametrize("how", ["gone", "empty", "cut", "flipped"])
@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("name", ["secret", "no source", "withdrawn"])
def test_no_ref_and_no_commit_is_needed_to_refuse(
    images: Callable[[str, bool], Image], fast_path: Path, name: str, waits: bool, how: str
) -> None:
    image, first = images(name, waits), str(fast_path / "first")
    image.lay_out(first)
    names = [
        os.path.relpath(os.path.join(at, each), first)
        for folder in ("git", "work")
        for at, _, files in os.walk(os.path.join(first, ".dsvc", folder))
        for each in files
    ]
    for number, each in enumerate(sorted(names)):
        if (number + len(how)) % 4 and "refs" not in each:
            continue
        root = str(fast_path / f"{number}")
        image.lay_out(root)
        path = os.path.join(root, each)
        os.chmod(path, 0o600)
        data = Path(path).read_bytes()
        if how == "gone":
            os.remove(path)
        else:
            middle = len(data) // 2
            changed = {
                "empty": b"",
                "cut": data[:middle],
                "flipped": data[:middle]
                + bytes(byte ^ 1 for byte in data[middle : middle + 1])
                + data[middle + 1 :],
            }
            Path(path).write_bytes(changed[how])
        found = verdict(root, staged=waits)
        assert not passed(found), each
        shutil.rmtree(root)


# Caches


def cache_files(root: str) -> list[Path]:
    return sorted(each for each in Path(root, ".dsvc", "cache").rglob("*") if each.is_file())


@pytest.mark.parametrize("name", ["secret", "china"])
def test_no_damaged_cache_lets_anything_pass(
    images: Callable[[str, bool], Image], fast_path: Path, name: str
) -> None:
    image, other = images(name, False), str(fast_path / "other")
    images("good", False).lay_out(other)
    root = str(fast_path / "case")
    image.lay_out(root)
    whole = verdict(root, as_of="2999-01-01")
    assert isinstance(whole, CheckResult)
    for number, path in enumerate(cache_files(root)):
        data = path.read_bytes()
        middle = len(data) // 2
        forged = [b"", data[:middle], data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]]
        forged += [each.read_bytes() for each in cache_files(other)[number % 3 :: 3]]
        forged += [each.read_bytes() for each in cache_files(root) if each.parent == path.parent]
        for content in forged[:: 1 if "detections" in path.parts else 3]:
            path.write_bytes(content)
            found = verdict(root, as_of="2999-01-01")
            assert isinstance(found, CheckResult)
            assert found.bytes == whole.bytes, path
        path.write_bytes(data)


# Detectors


class Toy:
    """A detector that does what it is told in place of looking."""

    name = "secrets"

    def __init__(self, version: Callable[[], str], scan: Callable[[object], object]) -> None:
        self.version, self.scan = version, scan

    def config(self) -> dict[str, str]:
        return {}


def _raise(error: BaseException, *_: object) -> str:
    raise error


@pytest.mark.parametrize(
    ("version", "scan"),
    [
        (partial(_raise, ImportError("gone")), None),
        (partial(_raise, AttributeError("broken")), None),
        (lambda: "1", partial(_raise, ValueError("x"))),
        (lambda: "1", partial(_raise, MemoryError())),
        (lambda: "1", partial(_raise, RecursionError())),
        (lambda: "1", partial(_raise, SystemExit(0))),
        (lambda: "1", lambda _: os._exit(0)),
        (lambda: "1", lambda _: os.kill(os.getpid(), 11)),
        (lambda: "1", lambda _: time.sleep(60)),
        (lambda: "1", lambda _: None),
        (lambda: "1", lambda _: "clean"),
    ],
)
def test_a_broken_detector_says_nothing(
    images: Callable[[str, bool], Image],
    fast_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: Callable[[], str],
    scan: Callable[[object], object],
) -> None:
    root = str(fast_path / "case")
    images("good", True).lay_out(root)
    with monkeypatch.context() as patch:
        patch.setattr(detections, "file_detector", lambda *_: Toy(version, scan))
        patch.setattr(detections, "run_jobs", partial(run_jobs, seconds=0.2))
        found = verdict(root, staged=True)
        assert isinstance(found, CheckResult)
        assert (found.outcome, found.gate_exit_code) == (Outcome.INCOMPLETE, 21)
        assert {each.rule for each in found.violations} == {"SAFE-04"}
        assert not commits(root)
    assert passed(verdict(root, staged=True))
    assert commits(root)


# The clock, policies that ask little


@pytest.mark.parametrize("seconds", [0, 4_102_444_800])
@pytest.mark.parametrize("name", ["withdrawn", "harmful", "china"])
def test_no_clock_lets_anything_pass(
    images: Callable[[str, bool], Image],
    fast_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    seconds: int,
) -> None:
    root, real = str(fast_path / "case"), time.gmtime
    images(name, True).lay_out(root)
    monkeypatch.setattr("dsvc.porcelain.moment.time.gmtime", lambda *_: real(seconds))
    refused(root, waits=True)


def test_by_a_clock_of_long_ago_nothing_passes(
    images: Callable[[str, bool], Image], fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, real = str(fast_path / "case"), time.gmtime
    images("good", False).lay_out(root)
    assert passed(verdict(root))
    monkeypatch.setattr("dsvc.porcelain.moment.time.gmtime", lambda *_: real(0))
    found = verdict(root)
    assert isinstance(found, CheckResult)
    assert (found.outcome, found.gate_exit_code) == (Outcome.INCOMPLETE, 21)


PACK = """id = "own"
version = "1"
date = "2026-01-01"
title = {{ en = "Own", zh = "Own" }}
"""
RULE = """
[rules.{}]
severity = "{}"
stage = "commit"
clause = "x"
"""


@pytest.mark.parametrize(
    "effect", ["", 'effective_from = "2999-01-01"\n', 'effective_until = "2020-01-01"\n']
)
def test_a_pack_that_blocks_nothing_passes_nothing_unread(fast_path: Path, effect: str) -> None:
    rules = ("SRC-01", "LIN-01", "LIN-02", "LIN-03", "LIN-04", "LIN-05", "ANN-04", "QTY-01")
    lab = policy(fast_path / "case")
    severity = "blocking" if effect else "warning"
    pack = PACK.format() + "".join(RULE.format(each, severity) + effect for each in rules)
    lab.put({b"own.toml": pack.encode(), b"dsvc.toml": b'[policy]\npacks = ["own.toml"]\n'})
    lab.repo.commit("weak", no_verify=True)
    lab.put({b"a.csv": numbered(2)})
    lab.repo.commit("more", no_verify=True)
    root = lab.repo.root
    first = verdict(root)
    assert passed(first) == (not effect)
    lab.repo.backend.forget()
    lineage = [each for each in objects(root) if b"dsvc.toml" in each.data and each.type == ItemType.NODE]
    for item in lineage:
        put_packs(root, [each for each in objects(root) if each is not item and each.id != item.id])
    found = verdict(root)
    assert not passed(found)


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
def test_a_check_needs_no_place_and_changes_nothing(
    images: Callable[[str, bool], Image], fast_path: Path, name: str, action: Action | None
) -> None:
    for waits in (True, False):
        root = str(fast_path / f"case-{waits}")
        images(name, waits).lay_out(root)
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


def test_a_check_beside_others_is_of_one_state(images: Callable[[str, bool], Image], fast_path: Path) -> None:
    root = str(fast_path / "case")
    images("no source", False).lay_out(root)

    def others() -> None:
        for number in range(6):
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
        done, code = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if done else None
    assert (status, count > 1) == (0, True)


# Killed


@in_slim_process
def test_a_commit_under_policy_is_killed_at_every_write(fast_path: Path) -> None:
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
