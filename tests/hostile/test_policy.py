"""The gate never passes by accident: whatever is gone, damaged or broken, what is refused stays out."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from blake3 import blake3

from dsvc.lineage.validation import Outcome
from dsvc.porcelain.policy import detections
from dsvc.porcelain.policy.detector_child import run_jobs
from dsvc.porcelain.policy.verdict import CheckResult
from dsvc.store.block import ItemType
from tests.faultkit import open_in
from tests.policyworlds import (
    LICENCE,
    REFUSED,
    Stored,
    commits,
    image,
    objects,
    passed,
    put_packs,
    refused,
    verdict,
)

EVERY = pytest.param(1, marks=pytest.mark.soak, id="all")


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


@pytest.mark.parametrize("every", [pytest.param(4, id="some"), EVERY])
@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_passes_with_no_object_damaged(
    fast_path: Path, name: str, waits: bool, every: int
) -> None:
    root = str(fast_path / "case")
    image(name, waits).lay_out(root)
    refused(root, waits=waits)
    for _ in damaged(root, every):
        refused(root, waits=waits)


def test_what_passes_needs_all_that_is_recorded(fast_path: Path) -> None:
    root = str(fast_path / "case")
    image("good", False).lay_out(root)
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
def test_no_ref_and_no_commit_is_needed_to_refuse(fast_path: Path, name: str, waits: bool, how: str) -> None:
    made, first = image(name, waits), str(fast_path / "first")
    made.lay_out(first)
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
        made.lay_out(root)
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
def test_no_damaged_cache_lets_anything_pass(fast_path: Path, name: str) -> None:
    made, other = image(name, False), str(fast_path / "other")
    image("good", False).lay_out(other)
    root = str(fast_path / "case")
    made.lay_out(root)
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
        (lambda: "1", lambda _: os.kill(os.getpid(), 9)),
        (lambda: "1", lambda _: time.sleep(60)),
        (lambda: "1", lambda _: None),
        (lambda: "1", lambda _: "clean"),
    ],
)
def test_f42_a_broken_detector_lets_nothing_pass(
    fast_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: Callable[[], str],
    scan: Callable[[object], object],
) -> None:
    root = str(fast_path / "case")
    image("good", True).lay_out(root)
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
