"""What must never change: cut points, ids, and that everything once written can be read."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

from dsvc.fs import files
from dsvc.model.ids import NodeId, PackId
from dsvc.porcelain.repository import Repository
from dsvc.store import pack
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.scrub import check_pack
from scripts import format_example
from tests.golden import make
from tests.storekit import prose, read_manifest

HERE = Path(__file__).resolve().parent
EXPECTED = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))


def test_cut_points_and_ids_are_what_they_were() -> None:
    assert make.expected() == EXPECTED


def test_the_golden_pack_is_read() -> None:
    backend = MemoryBackend()
    data = (HERE / "golden.pack").read_bytes()
    name = PackId(data[-32:])
    backend.packs[name] = data
    assert check_pack(backend, name, read_data=True).defects == []
    root = NodeId.parse(EXPECTED["ids"]["manifest"])
    assert read_manifest(ChunkStore(backend), root) == make.TREE


def test_the_golden_repository_is_opened_and_whole(tmp_path: Path) -> None:
    with tarfile.open(HERE / "repository.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    for folder in ("trash", "cache", "locks", "tmp"):
        files.make_folders(os.path.join(tmp_path, ".dsvc", folder))
    repo = Repository.open(str(tmp_path))
    result = repo.fsck(read_data=True)
    assert result.ok, result.defects
    head = repo.history.refs.head().commit
    assert head is not None
    second = repo.history.read_commit(head)
    first = repo.history.read_commit(second.parents[0])
    assert (first.message, second.message) == ("first", "second")
    old, new = (read_manifest(repo.store, commit.manifest) for commit in (first, second))
    assert {path: data for path, data in old.items() if path != b"link"} == make.TREE
    assert old[b"link"] == b"folder/text"
    assert new[b"folder/text"] == prose(150_000, 23)
    assert read_manifest(repo.store, repo.staged().root)[b"staged"] == b"staged"


def test_the_page_shows_what_the_code_writes() -> None:
    page = format_example.PAGE.read_text(encoding="utf-8")
    assert page == format_example.with_example(page), "run scripts/format_example.py"


def test_the_lengths_of_the_page_are_those_of_the_code() -> None:
    assert pack.block.HEADER.size == 36
    assert (pack.BLOCK_ROW.size, pack.FANOUT.size, pack.ID_ROW.size, pack.TRAILER.size) == (40, 1024, 12, 64)
    assert len(pack.HEADER) == 16
