"""Three readers, one truth: dsvc's own, libgit2 and dulwich return the same for the same objects."""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

from dsvc.history.commit_codec import encode_commit
from dsvc.history.git_object import GitObject, frame, object_id
from dsvc.history.git_writer import GitWriter, init_bare
from dsvc.history.loose_reader import LooseReader
from dsvc.history.odb import ObjectDatabase
from dsvc.history.pack_reader import PackReader
from dsvc.history.signature import Signature
from dsvc.model.errors import CorruptDataError, MalformedInputError, MissingDataError
from dsvc.model.ids import CommitId, NodeId
from tests.dulwich_reader import DulwichReader
from tests.pygit2_reader import Pygit2Reader

WHO = Signature(name="张三", email="z@example.org", seconds=1_795_000_000, offset_minutes=-330)


def objects() -> list[GitObject]:
    made: list[GitObject] = []
    parents: list[CommitId] = []
    for n in range(1, 21):
        made += encode_commit(
            parents=parents[-2:],
            author=WHO,
            committer=WHO,
            message=f"第{n}次",
            manifest=NodeId(n.to_bytes(32, "big")),
            files=n,
            bytes=n,
        )
        parents.append(object_id(*made[-1]))
    tag = f"object {parents[-1]}\ntype commit\ntag v1\ntagger ".encode() + WHO.encode() + b"\n\nm\n"
    return [*made, ("tag", tag), ("blob", b""), ("blob", bytes(range(256)) * 400), ("tree", b"")]


@pytest.fixture(params=["loose", "packed", "both"])
def git_dir(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    path = str(tmp_path / "git")
    init_bare(path, durable=False)
    ids = GitWriter(path, durable=False).write(objects())
    if request.param != "loose":
        if shutil.which("git") is None:
            pytest.skip("git is not installed")
        base = os.path.join(path, "objects", "pack", "pack")
        subprocess.run(
            ["git", "--git-dir", path, "pack-objects", "-q", base],
            input="\n".join(ids),
            text=True,
            check=True,
            capture_output=True,
        )
        if request.param == "packed":
            subprocess.run(["git", "--git-dir", path, "prune-packed", "-q"], check=True)
            assert not LooseReader(path).has(ids[0])
    return path


def readers(git_dir: str, *, whole: bool = True) -> dict[str, ObjectDatabase]:
    return {
        "loose": LooseReader(git_dir, lambda: PackReader(git_dir)),
        # libgit2 never returns from a loose object that is cut off.
        "pygit2": Pygit2Reader(git_dir, loose=whole),
        "dulwich": DulwichReader(git_dir),
    }


def test_the_same_objects(git_dir: str) -> None:
    for name, reader in readers(git_dir).items():
        for kind, data in objects():
            id_ = object_id(kind, data)
            assert reader.read(id_) == (kind, data), name
            assert reader.has(id_), name


def test_the_same_beginnings(git_dir: str) -> None:
    ids = sorted({object_id(*one) for one in objects()})
    for prefix in ["", "f", "0", *(id_[:n] for id_ in ids[:5] for n in (1, 2, 3, 4, 10, 39, 40))]:
        expected = [id_ for id_ in ids if id_.startswith(prefix)]
        for name, reader in readers(git_dir).items():
            if prefix:
                assert reader.expand(prefix) == expected, (name, prefix)
            else:
                with pytest.raises(MalformedInputError):
                    reader.expand(prefix)


def test_the_same_errors(git_dir: str) -> None:
    for name, reader in readers(git_dir).items():
        with pytest.raises(MissingDataError):
            reader.read(CommitId("0" * 40))
        assert not reader.has(CommitId("0" * 40)), name
        for text in ("HEAD", "../../x", "A" * 40, "0" * 64, ""):
            with pytest.raises(MalformedInputError):
                reader.read(CommitId(text))
        for text in ("g", "A", "0" * 41, "../"):
            with pytest.raises(MalformedInputError):
                reader.expand(text)


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"damaged",
        zlib.compress(frame("blob", b"other")),
        zlib.compress(frame("blob", b"format 1\n"))[:-4],
        zlib.compress(b"blob 99\0format 1\n"),
        zlib.compress(b"evil 9\0format 1\n"),
        zlib.compress(b"blob 9\0" + bytes(32 * 1024 * 1024)),
        zlib.compress(b"blob %d\0" % (1 << 40)),
    ],
)
def test_damage_is_never_read_by_any(tmp_path: Path, stored: bytes) -> None:
    path = str(tmp_path / "git")
    init_bare(path, durable=False)
    (id_,) = GitWriter(path, durable=False).write([("blob", b"format 1\n")])
    file = Path(path, "objects", id_[:2], id_[2:])
    file.chmod(0o644)
    file.write_bytes(stored)
    for name, reader in readers(path, whole=False).items():
        try:
            # Where only the check sum at the end is cut off, the bytes may still be right.
            assert reader.read(id_) == ("blob", b"format 1\n"), name
            assert name == "dulwich"
        except (CorruptDataError, MalformedInputError):
            continue
        except MissingDataError:
            assert name == "pygit2"


def test_a_damaged_loose_object_is_read_from_a_pack(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    path = str(tmp_path / "git")
    init_bare(path, durable=False)
    (id_,) = GitWriter(path, durable=False).write([("blob", b"format 1\n")])
    base = os.path.join(path, "objects", "pack", "pack")
    subprocess.run(
        ["git", "--git-dir", path, "pack-objects", "-q", base],
        input=id_,
        text=True,
        check=True,
        capture_output=True,
    )
    file = Path(path, "objects", id_[:2], id_[2:])
    file.chmod(0o644)
    file.write_bytes(b"damaged")
    assert readers(path)["loose"].read(id_) == ("blob", b"format 1\n")


def test_a_damaged_pack_is_never_read_by_any(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    path = str(tmp_path / "git")
    init_bare(path, durable=False)
    made = objects()[:6]
    ids = GitWriter(path, durable=False).write(made)
    base = os.path.join(path, "objects", "pack", "pack")
    subprocess.run(
        ["git", "--git-dir", path, "pack-objects", "-q", base],
        input="\n".join(ids),
        text=True,
        check=True,
        capture_output=True,
    )
    subprocess.run(["git", "--git-dir", path, "prune-packed", "-q"], check=True)
    (pack,) = Path(path, "objects", "pack").glob("*.pack")
    pack.chmod(0o644)
    whole = pack.read_bytes()
    expected = dict(zip(ids, made, strict=True))
    for at in range(12, len(whole) - 20, 7):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        pack.write_bytes(bytes(damaged))
        for name, reader in readers(path).items():
            for id_ in ids:
                try:
                    assert reader.read(id_) == expected[id_], name
                except (CorruptDataError, MissingDataError, MalformedInputError):
                    continue
