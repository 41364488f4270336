"""Every stored part of evaluations, defects, repairs and releases, damaged: named, and never passed."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from dsvc.history.refs import RefChange
from dsvc.lineage.source_tree import store_part
from dsvc.lineage.validation import Gate, Outcome
from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.porcelain.repository import Repository
from dsvc.store.manifest_tree import Manifest
from dsvc.store.materialize import read_content
from dsvc.testing.faults import tried
from dsvc.testing.image import Image
from tests.faultkit import repository
from tests.loop_scenarios import whole, words
from tests.policyworlds import objects, put_packs

CHAINS = {
    "refs/dsvc/feedback/": ("feedback", {"F070"}),
    "refs/dsvc/defects/": ("defect", {"F072"}),
    "refs/dsvc/repairs/": ("repair", {"F074", "F075"}),
    "refs/dsvc/releases/": ("release", {"F076", "F077"}),
}
"""What fsck calls the object, and its defects."""


@functools.cache
def image() -> Image:
    folder = tempfile.mkdtemp(prefix="dsvc-loop-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    whole(folder)
    return Image(folder)


@pytest.fixture
def root(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(fast_path)
    image().lay_out(str(fast_path / "case"))
    return str(fast_path / "case")


def refs(root: str) -> dict[str, CommitId]:
    with repository(root) as repo:
        return {name: tip for name, tip in repo.history.refs.list("refs/dsvc/").items() if _chain(name)}


def _chain(name: str) -> str | None:
    return next((prefix for prefix in CHAINS if name.startswith(prefix)), None)


def parts(repo: Repository, tip: CommitId) -> list[Entry]:
    """Files of a state; not what it shares with the versions of the data."""
    root = repo.history.read_commit(tip).manifest
    return [each for each in Manifest(repo.store, root, trees=True).entries() if each.is_file]


def exchange(root: str, ref: str, path: bytes, data: bytes | None) -> None:
    """Give a chain a newest commit with another part, or without it, as somebody who writes refs can."""
    with repository(root) as repo, repo.changing():
        tip = repo.history.refs.get(ref)
        assert tip is not None
        old = repo.history.read_commit(tip)
        entry = None
        if data is not None:
            entry = msgspec.structs.replace(store_part(repo.store, data), path=path)
        made = Manifest(repo.store, old.manifest, trees=True).update([(path, entry)])
        who = repo.signature()
        files, size = Manifest(repo.store, made, trees=True).totals()
        new = repo.history.commit(
            parents=old.parents,
            manifest=made,
            files=files,
            bytes=size,
            message="x",
            author=who,
            committer=who,
        )
        repo.store.publish()
        repo.record("undo", changes=[RefChange(ref, tip, new.id)], objects=new.objects)


def damages(data: bytes) -> Iterator[bytes | None]:
    """Gone, empty, cut, one bit changed, something else."""
    yield None
    yield from (each for each in (b"", data[: len(data) // 2], b"\xc1" + data[1:]) if each != data)


def reads(root: str) -> list[Callable[[Repository], object]]:
    return [
        lambda repo: repo.feedbacks(),
        lambda repo: [list(repo.feedback_observations(each.id)) for each in repo.feedbacks()],
        lambda repo: repo.defects(),
        lambda repo: [repo.defect_view(each.id) for each in repo.defects()],
        lambda repo: repo.releases(),
        lambda repo: repo.release("v1"),
        lambda repo: repo.release_verify("v1").outcome,
        lambda repo: repo.release_downstream("v1"),
        lambda repo: words(root),
        lambda repo: repo.status(),
        lambda repo: repo.check(gate=Gate.RELEASE),
    ]


def ask(root: str) -> None:
    """Every verb answers, or says by a typed error why it can't."""
    for read in reads(root):
        with repository(root) as repo, suppress(DsvcError):
            read(repo)
    tried("hostile cases")


def _places() -> list[tuple[str, bytes]]:
    folder = tempfile.mkdtemp(prefix="dsvc-loop-")
    image().lay_out(folder + "/x")
    try:
        with repository(folder + "/x") as repo:
            tips = sorted(repo.history.refs.list("refs/dsvc/").items())
            return [(name, each.path) for name, tip in tips if _chain(name) for each in parts(repo, tip)]
    finally:
        shutil.rmtree(folder)


def test_whole_there_is_nothing_to_find(root: str) -> None:
    with repository(root) as repo:
        found = repo.fsck(read_data=True)
        assert (found.ok, found.exit_code) == (True, 0)
        assert repo.release_verify("v1").outcome is Outcome.PASS
    for read in reads(root):
        with repository(root) as repo:
            read(repo)
    kinds = [_chain(name) for name in refs(root)]
    assert {kinds.count(prefix) for prefix in CHAINS} == {1, 2, 3}


SOME = pytest.param(False, id="some")
EVERY = pytest.param(True, marks=pytest.mark.soak, id="all")


@pytest.mark.parametrize("every", [SOME, EVERY])
def test_f13_f14_f17_h23_h60_each_part_that_is_exchanged_is_named(
    root: str, fast_path: Path, every: bool
) -> None:
    for number, (ref, path) in enumerate(_places()):
        prefix = _chain(ref)
        assert prefix is not None
        what, ids = CHAINS[prefix]
        with repository(root) as repo:
            (entry,) = (each for each in parts(repo, refs(root)[ref]) if each.path == path)
            data = read_content(repo.store, entry)
        tried_here = list(damages(data))
        for turn, new in enumerate(tried_here if every else [tried_here[number % len(tried_here)]]):
            if new is None and path.startswith(b"rows/"):
                # Which rows stand for which is kept where it is known; without it everything is compared.
                continue
            case = str(fast_path / f"{number}-{turn}")
            image().lay_out(case)
            exchange(case, ref, path, new)
            with repository(case) as repo:
                found = repo.fsck()
            named = {each.object: each.id for each in found.defects}
            whose = f"{what}:{ref.removeprefix(prefix)}"
            assert named.get(whose) in ids, (ref, path, new and new[:20], found.defects)
            assert found.exit_code in (30, 41)
            if every or number % 5 == 0:
                ask(case)
            shutil.rmtree(case)


@pytest.mark.parametrize("every", [SOME, EVERY])
def test_f13_f15_objects_that_are_gone_or_changed(root: str, every: bool) -> None:
    """Found by fsck, and answered with types; without the state of a defect the gate passes nothing."""
    with repository(root) as repo:
        assert repo.check("v1", gate=Gate.RELEASE).outcome is Outcome.PASS
        tips = repo.history.refs.list("refs/dsvc/defects/").values()
        needed = {bytes(repo.history.read_commit(tip).manifest) for tip in tips}
    found = objects(root)
    for number, item in enumerate(found):
        if not every and number % 11 and item.id not in needed:
            continue
        flipped = item._replace(data=item.data[:-1] + bytes([item.data[-1] ^ 1]))
        for new in ([], [flipped]) if every else [[]]:
            put_packs(root, [*(each for each in found if each is not item), *new])
            with repository(root) as repo:
                assert not repo.fsck(read_data=True).ok
            if every or item.id in needed:
                ask(root)
            if item.id in needed:
                with repository(root) as repo:
                    assert repo.check("v1", gate=Gate.RELEASE).outcome is Outcome.INCOMPLETE
    put_packs(root, found)
