"""F22, F23, F38: little memory, few open files, files far larger than either."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dsvc.model.errors import StorageError
from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import Expected, check, commit_contents, tree_state, unchanged
from dsvc.testing.faults import run_in_child, tried
from dsvc.testing.image import Image
from tests.cgroupkit import bounded
from tests.faultkit import commit_all, open_in, repository, write

MEGABYTE = 1 << 20
SIZES = [
    pytest.param(160, 128, id="160-MB-in-128-MB"),
    pytest.param(2048, 512, id="2-GB-in-512-MB", marks=pytest.mark.soak),
]


def _large(path: Path, megabytes: int) -> None:
    """No two MiB are the same."""
    block = bytearray(random.Random(22).randbytes(MEGABYTE))
    with path.open("wb") as file:
        for number in range(megabytes):
            for at in range(0, MEGABYTE, 1 << 14):
                block[at : at + 4] = (number * 64 + at >> 14).to_bytes(4, "big")
            block[:8] = number.to_bytes(8, "big")
            file.write(block)


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files aren't memory, which would count as the memory of who writes them."""
    with tempfile.TemporaryDirectory(prefix="dsvc-test-", dir="/var/tmp") as elsewhere:
        for folder in (tmp_path, Path(elsewhere)):
            kind = subprocess.check_output(["stat", "--file-system", "--format=%T", folder], text=True)
            if kind.strip() not in ("tmpfs", "ramfs"):
                yield folder
                return
        pytest.skip("temporary folders are in memory here")


@pytest.mark.parametrize(("megabytes", "limit"), SIZES)
def test_f22_a_large_file_in_little_memory(on_disk: Path, megabytes: int, limit: int) -> None:
    root = on_disk / "repo"
    Repository.init(str(root))
    _large(root / "large", megabytes)
    with bounded(limit * MEGABYTE) as group:
        for words in (["add", "-A"], ["commit", "-m", "large"], ["status"], ["fsck", "--read-data"]):
            ended = group.dsvc(root, *words)
            assert ended.code == 0, (words, ended.said)
            assert ended.peak <= 512 * MEGABYTE
        before = os.stat(root / "large")
        os.remove(root / "large")
        ended = group.dsvc(root, "restore", "large")
        assert ended.code == 0, ended.said
        assert os.stat(root / "large").st_size == before.st_size
        (root / "large").unlink()
        ended = group.dsvc(root, "checkout", "--force", "HEAD")
        assert ended.code == 0, ended.said
        assert json.loads(group.dsvc(root, "status", "--json").said)["clean"]
    tried("disk states", 6)


@pytest.mark.soak
def test_f22_f38_a_sparse_file_of_100_gb(on_disk: Path) -> None:
    """Holes are neither read nor written, memory stays below 512 MiB in all processes together."""
    root = on_disk / "repo"
    Repository.init(str(root))
    path, size = root / "sparse", 100 << 30
    islands = {0: b"begin", 37 << 30: random.Random(3).randbytes(200_000), size - 3: b"end"}
    with path.open("wb") as file:
        file.truncate(size)
        for at, data in islands.items():
            file.seek(at)
            file.write(data)
    with bounded(512 * MEGABYTE) as group:
        for words in (["add", "-A"], ["commit", "-m", "sparse"], ["fsck", "--read-data"]):
            ended = group.dsvc(root, *words)
            assert ended.code == 0, (words, ended.said)
        path.unlink()
        ended = group.dsvc(root, "restore", "sparse")
        assert ended.code == 0, ended.said
        assert json.loads(group.dsvc(root, "status", "--json").said)["clean"]
    found = path.stat()
    assert found.st_size == size
    assert found.st_blocks * 512 < 4 * MEGABYTE
    with path.open("rb") as file:
        for at, data in islands.items():
            file.seek(at)
            assert file.read(len(data)) == data
    tried("disk states", 5)


KILLING = [24, 40] + [pytest.param(limit, marks=pytest.mark.soak) for limit in range(16, 96, 4)]


@pytest.mark.parametrize("limit", KILLING)
def test_f22_killed_for_want_of_memory(tmp_path: Path, limit: int) -> None:
    """Old state or new, whichever process of it the kernel kills; the same command succeeds with memory."""
    root = tmp_path / "repo"
    Repository.init(str(root))
    write(root, {b"kept": b"kept\n"})
    with repository(str(root)) as repo:
        first = commit_all(repo, "first")
    _large(root / "large", 24)
    write(root, {b"folder/%d" % n: b"%d\n" % n for n in range(300)})
    files = unchanged(tree_state(str(root)))
    with bounded(limit * MEGABYTE) as group:
        ended = [group.dsvc(root, "add", "-A"), group.dsvc(root, "commit", "-m", "second")]
    assert all(each.code in (0, 1, 33, 50, -9, 137) for each in ended), ended
    with repository(str(root)) as repo:
        head = repo.history.refs.head().commit
        assert head is not None
        commits = {commit: commit_contents(repo, commit) for commit in (first, head)}
        assert (head != first) <= (ended[1].code == 0)
    check(str(root), Expected(commits=commits, files=files), rerun=lambda r: open_in(r.root).add(all=True))
    tried("kill points", sum(each.code < 0 for each in ended))


VERBS: dict[str, Callable[[Repository], object]] = {
    "status": lambda repo: repo.status(),
    "add": lambda repo: repo.add(all=True),
    "commit": lambda repo: repo.commit("more", all=True),
    "checkout": lambda repo: repo.checkout("HEAD~30", force=True),
    "restore": lambda repo: repo.restore([b""]),
    "cat": lambda repo: [repo.open_file(b"f/%d" % n, "HEAD").read() for n in range(70)],
    "diff": lambda repo: repo.diff("HEAD~50", "HEAD"),
    "log": lambda repo: list(repo.log()),
    "fsck": lambda repo: repo.fsck(read_data=True),
    "gc": lambda repo: repo.gc(grace_seconds=0),
    "merge": lambda repo: repo.merge("side"),
    "stash": lambda repo: repo.stash("work"),
    "tag": lambda repo: repo.create_tag("v1"),
}


@pytest.fixture(scope="module")
def many_packs(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Seventy packs, and as many folders and commits."""
    root = str(tmp_path_factory.mktemp("packs") / "repo")
    Repository.init(root)
    with repository(root) as repo:
        repo.config.set("core.durability", "none")
    for number in range(70):
        write(root, {b"f/%d" % number: b"%d\n" % number, b"d%d/x" % number: b"%d\n" % number})
        with repository(root) as repo:
            commit_all(repo, f"{number}")
            if number == 50:
                repo.create_branch("side")
    write(root, {b"f/1": b"edited\n", b"new/file": b"new\n"})
    return Image(root)


@pytest.mark.parametrize("limit", [64, pytest.param(24, marks=pytest.mark.soak)])
def test_f23_few_open_files(many_packs: Image, fast_path: Path, limit: int) -> None:
    """Each verb works, or says that it may open no more; nothing is lost, nothing half done."""

    def run(verb: Callable[[Repository], object], root: str) -> None:
        # As many may be opened as in a process that has its three standard streams; numbers may have gaps.
        used = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + limit - 3, used + limit - 3))
        verb(open_in(root))

    whole = str(fast_path / "whole")
    many_packs.lay_out(whole)
    with repository(whole) as repo:
        tip = repo.history.refs.list("refs/heads/")["refs/heads/main"]
        contents = commit_contents(repo, tip)
    refused = []
    for name, verb in VERBS.items():
        root = str(fast_path / name)
        many_packs.lay_out(root)
        outcome = run_in_child(partial(run, verb, root))
        if outcome.error is not None:
            refused.append(name)
            assert isinstance(outcome.error, StorageError), (name, outcome.error)
            assert outcome.error.details["errno"] == errno.errorcode[errno.EMFILE], name
            assert outcome.error.hint
        with repository(root) as repo:
            assert commit_contents(repo, tip) == contents
            assert repo.fsck().ok
            if outcome.error is not None:
                verb(repo)
        tried("disk errors")
    assert limit < 64 or not refused
