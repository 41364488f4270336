"""archive: read back with tar, unzip and Python's own modules."""

from __future__ import annotations

import os
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import DsvcError, NotFoundError, StorageError, UsageError
from dsvc.model.manifest import ChunkRef, Entry
from dsvc.porcelain.versions import archive as module
from dsvc.store.chunk_list import write_list
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest
from dsvc.store.memory_backend import MemoryBackend
from tests.porcelain.working import EMPTY_FOLDER, Work, link, program
from tests.storekit import noise, prose, put_file

KINDS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".zip")
Items = dict[bytes, tuple[str, bytes] | bytes | None]
PLAIN: Items = {
    b"a": b"1",
    b"d/e/text": prose(300_000),
    b"d/run.sh": program(b"#!/bin/sh\n"),
    b"d/link": link(b"e/text"),
    b"empty": b"",
    "数据/表.csv".encode(): "名,值\n".encode(),
    "空/的".encode(): EMPTY_FOLDER,
    b"binary": noise(900_000),
    b"l" * 200 + b"/" + b"n" * 200: b"long",
}
ODD: Items = {b"\xff\xfe/\xe9": b"odd", b"to": link(b"\xff\xfe/\xe9"), b"new\nline": b"x"}


@pytest.fixture
def one(work: Work) -> Work:
    work.commit("1", PLAIN)
    return work


def extracted(work: Work, file: Path, folder: Path) -> Work:
    """What the system's tar or unzip makes of an archive."""
    folder.mkdir()
    command = ["unzip", "-q", str(file)] if file.suffix == ".zip" else ["tar", "-xf", str(file)]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    assert done.returncode == 0, done.stderr
    return Work(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_whole(one: Work, tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"版本{kind}"
    assert one.repo.archive("HEAD", str(file)) == len(PLAIN)
    there = extracted(one, file, tmp_path / "out")
    assert there.tree() == one.tree()
    seconds = one.repo.show().commit.committer.seconds
    assert abs(os.stat(there.path(b"d/run.sh")).st_mtime - seconds) <= 86_400
    assert stat.S_IMODE(os.stat(there.path(b"d/run.sh")).st_mode) & 0o111
    assert set(os.listdir(tmp_path)) == {"out", file.name, "数据"}


@pytest.mark.parametrize("kind", KINDS)
def test_equal_versions_give_equal_bytes(one: Work, tmp_path: Path, kind: str) -> None:
    first, second = tmp_path / f"1{kind}", tmp_path / f"2{kind}"
    one.repo.archive("HEAD", str(first))
    os.utime(one.path(b"a"))
    one.reopen().archive("main", str(second))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("kind", [".tar", ".tar.gz", ".tar.zst"])
def test_names_of_any_bytes(one: Work, tmp_path: Path, kind: str) -> None:
    one.commit("2", ODD)
    file = tmp_path / f"x{kind}"
    one.repo.archive("HEAD", str(file))
    assert extracted(one, file, tmp_path / "out").tree() == one.tree()


def test_a_zip_refuses_a_name_that_it_cannot_hold(one: Work, tmp_path: Path) -> None:
    one.commit("2", ODD)
    with pytest.raises(UsageError) as caught:
        one.repo.archive("HEAD", str(tmp_path / "x.zip"))
    assert "tar" in (caught.value.hint or "")
    assert os.listdir(tmp_path) == ["数据"]


def test_members_as_python_reads_them(one: Work, tmp_path: Path) -> None:
    one.repo.archive("HEAD", str(tmp_path / "x.tar"))
    seconds = one.repo.show().commit.committer.seconds
    with tarfile.open(tmp_path / "x.tar") as tar:
        members = tar.getmembers()
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", seconds)}
        assert {m.name: oct(m.mode) for m in members if m.name.startswith("d")} == {
            "d": "0o755",
            "d/e": "0o755",
            "d/e/text": "0o644",
            "d/link": "0o777",
            "d/run.sh": "0o755",
        }
        assert [m.name for m in members if m.isdir()] == ["d", "d/e", "l" * 200, "数据", "空", "空/的"]
        content = tar.extractfile("binary")
        assert content is not None
        assert content.read() == PLAIN[b"binary"]
    one.repo.archive("HEAD", str(tmp_path / "x.zip"))
    with zipfile.ZipFile(tmp_path / "x.zip") as archived:
        assert archived.testzip() is None
        assert [i.filename for i in archived.infolist()] == [
            m.name + ("/" if m.isdir() else "") for m in members
        ]
        assert archived.read("数据/表.csv") == PLAIN["数据/表.csv".encode()]


def test_older_versions_and_an_empty_one(work: Work, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        work.repo.archive("HEAD", str(tmp_path / "x.tar"))
    work.repo.commit("nothing", allow_empty=True)
    work.commit("2", {b"a": b"1"})
    for kind in KINDS:
        file = tmp_path / f"x{kind}"
        assert work.repo.archive("HEAD~1", str(file)) == 0
        assert work.repo.archive("HEAD", str(file)) == 1, "an archive that stands there is replaced"
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert tar.getnames() == ["a"]


def test_inside_the_working_tree_add_never_sees_it_half_made(one: Work) -> None:
    seen: list[set[bytes]] = []

    def look(number: int, name: str, path: str) -> None:
        seen.append({name for name in one.tree() if b"archive" in name})

    with armed(Plan(observer=look)):
        one.repo.archive("HEAD", os.fsdecode(one.path(b"d/x.tar")))
    assert len(seen) > 2
    assert set().union(*seen) == set()
    assert one.tree()[b"d/x.tar"][1].startswith(b"a\0")


def test_what_is_refused(one: Work, tmp_path: Path) -> None:
    (tmp_path / "folder.tar").mkdir()
    for name in ("x", "x.rar", "tar", "folder.tar"):
        with pytest.raises(UsageError):
            one.repo.archive("HEAD", str(tmp_path / name))
    with pytest.raises(NotFoundError):
        one.repo.archive("nosuch", str(tmp_path / "x.tar"))
    with pytest.raises(DsvcError):
        one.repo.archive("HEAD", str(tmp_path / "nosuch" / "x.tar"))


@pytest.mark.parametrize("kind", [".tar", ".tar.gz", ".tar.zst", ".zip"])
@pytest.mark.parametrize("action", [Action.EIO, Action.ENOSPC])
def test_an_error_leaves_the_old_archive(one: Work, tmp_path: Path, kind: str, action: Action) -> None:
    file = tmp_path / f"x{kind}"
    file.write_bytes(b"old")
    one.repo.durability = "full"
    for number in range(1, 100):
        with armed(Plan(action=action, at=number)) as plan:
            try:
                one.repo.archive("HEAD", str(file))
            except StorageError:
                assert plan.fired
        if not plan.fired:
            break
        # The last operation flushes the folder, where the new one stands already.
        assert file.read_bytes() == b"old" or plan.seen[-1][0] == "fsync_folder"
        assert set(os.listdir(tmp_path)) == {file.name, "数据"}
    assert number > 5
    assert file.read_bytes() != b"old"


@pytest.mark.parametrize("kind", [".tar", ".zip"])
def test_damaged_content_leaves_the_old_archive(one: Work, tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"x{kind}"
    file.write_bytes(b"old")
    for pack in Path(one.folder, ".dsvc", "packs").rglob("*"):
        if pack.is_file():
            data = bytearray(pack.read_bytes())
            for at in range(100, len(data) // 2, 50_000):
                data[at] ^= 1
            pack.chmod(0o644)
            pack.write_bytes(bytes(data))
    with pytest.raises(DsvcError) as caught:
        one.reopen().archive("HEAD", str(file))
    assert caught.value.exit_code in (30, 31, 41)
    assert file.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == [file.name, "数据"]


def huge(size: int) -> Manifest:
    """A file that is a hole but for its end, and a small one after it."""
    store = ChunkStore(MemoryBackend())
    tail = put_file(store, b"t", b"end")
    root = bytes(write_list(store, [ChunkRef(size - 3, None), ChunkRef(3, tail.digest)]))
    after = put_file(store, b"z", b"after")
    entry = Entry(b"huge", tail.mode, size, tail.digest, tail.xxh3, 1, root)
    manifest = Manifest(store, Manifest(store, EMPTY_ROOT).update([(b"huge", entry), (b"z", after)]))
    store.publish()
    return manifest


def test_members_beyond_8_gib(tmp_path: Path) -> None:
    size = (8 << 30) + 5
    manifest = huge(size)
    file = tmp_path / "x.tar"
    fd = os.open(file, os.O_RDWR | os.O_CREAT)
    output = module.Output(fd, "x")
    module._tar(manifest.store, module._members(manifest), output, 1)
    output.flush()
    os.close(fd)
    assert os.stat(file).st_blocks * 512 < 1 << 20, "a hole stays one in a plain tar"
    assert os.path.getsize(file) % tarfile.RECORDSIZE == 0
    listed = subprocess.run(["tar", "-tvf", str(file)], capture_output=True, text=True, check=True).stdout
    assert [line.split()[2] for line in listed.splitlines()] == [str(size), "5"]
    with tarfile.open(file) as tar:
        content = tar.extractfile("huge")
        assert content is not None
        content.seek(-5, os.SEEK_END)
        assert content.read() == b"\0\0end"


def test_a_large_hole_is_written_in_pieces(tmp_path: Path) -> None:
    size = 10_000_003
    manifest = huge(size)
    for name, write in (("x.tar.zst", module._tar_zst), ("x.tar.gz", module._tar_gz), ("x.zip", module._zip)):
        file = tmp_path / name
        fd = os.open(file, os.O_RDWR | os.O_CREAT)
        output = module.Output(fd, name)
        write(manifest.store, module._members(manifest), output, 2_000_000_000)
        output.flush()
        os.close(fd)
        folder = tmp_path / f"out-{name}"
        there = extracted(Work(tmp_path / "w"), file, folder)
        assert os.path.getsize(there.path(b"huge")) == size
        with open(there.path(b"huge"), "rb") as stream:
            stream.seek(-5, os.SEEK_END)
            assert stream.read() == b"\0\0end"


@pytest.mark.parametrize("seconds", [0, 315_532_799, 4_354_819_199, 1 << 40])
def test_dates_that_a_format_cannot_hold(tmp_path: Path, seconds: int) -> None:
    manifest = huge(1000)
    for name, write in (("x.tar", module._tar), ("x.tar.gz", module._tar_gz), ("x.zip", module._zip)):
        fd = os.open(tmp_path / name, os.O_RDWR | os.O_CREAT)
        output = module.Output(fd, name)
        write(manifest.store, module._members(manifest), output, seconds)
        output.flush()
        os.close(fd)
    with tarfile.open(tmp_path / "x.tar.gz") as tar:
        assert {member.mtime for member in tar.getmembers()} == {seconds}
    with zipfile.ZipFile(tmp_path / "x.zip") as archived:
        assert archived.testzip() is None
