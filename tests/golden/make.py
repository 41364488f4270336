"""Make what is stored beside this script: `python tests/golden/make.py` after a deliberate change of format.

`expected.json` has cut points and ids on seeded data; `golden.pack` and `repository.tar.gz` are read back by
every later version.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import tempfile
from pathlib import Path

import blake3

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from dsvc.model.encoding import hash_object  # noqa: E402
from dsvc.model.ids import ListId, NodeId, PackId, RecordId  # noqa: E402
from dsvc.model.manifest import ChunkClass, ChunkRef  # noqa: E402
from dsvc.store import chunker  # noqa: E402
from dsvc.store.chunk_list import write_list  # noqa: E402
from dsvc.store.chunk_store import ChunkStore  # noqa: E402
from dsvc.store.manifest_tree import EMPTY_ROOT  # noqa: E402
from dsvc.store.memory_backend import MemoryBackend  # noqa: E402
from tests.storekit import noise, prose, put_manifest  # noqa: E402

TREE = {
    b"empty": b"",
    b"folder/noise": noise(5_000, 21) * 130,
    b"folder/text": prose(150_000, 22),
    b"\xe4\xb8\xad\xe6\x96\x87": b"names are bytes",
    **{b"many/%04d" % n: b"%d\n" % n for n in range(300)},
}


def cuts(chunk_class: ChunkClass, data: bytes) -> dict[str, object]:
    lengths = [len(part) for part in chunker.cut(chunk_class, data)]
    digest = blake3.blake3(json.dumps(lengths).encode()).hexdigest()
    return {"count": len(lengths), "first": lengths[:8], "all": digest}


def expected() -> dict[str, object]:
    store = ChunkStore(MemoryBackend())
    refs = [ChunkRef(100 + n, None if n % 10 == 9 else bytes([n]) * 32) for n in range(200)]
    return {
        "cuts": {
            "text, prose": cuts(ChunkClass.TEXT, prose(1_000_000, 11)),
            "text, noise": cuts(ChunkClass.TEXT, noise(1_000_000, 12)),
            "text, zeros": cuts(ChunkClass.TEXT, bytes(300_000)),
            "raw, noise": cuts(ChunkClass.RAW, noise(4_000_000, 13)),
            "raw, prose": cuts(ChunkClass.RAW, prose(4_000_000, 14)),
            "raw, zeros": cuts(ChunkClass.RAW, bytes(2_000_000)),
            "paged, noise": cuts(ChunkClass.PAGED, noise(1_000_000, 15)),
            "paged, prose": cuts(ChunkClass.PAGED, prose(1_000_000, 16)),
            "paged, zeros": cuts(ChunkClass.PAGED, bytes(300_000)),
        },
        "ids": {
            "chunk": blake3.blake3(b"abc").hexdigest(),
            "node": hash_object("node", b"abc", NodeId).hex(),
            "list": hash_object("list", b"abc", ListId).hex(),
            "record": hash_object("record", b"abc", RecordId).hex(),
            "footer": hash_object("footer", b"abc", PackId).hex(),
            "empty manifest": EMPTY_ROOT.hex(),
            "chunk list": write_list(store, refs).hex(),
            "manifest": put_manifest(store, TREE).hex(),
        },
    }


def make_pack() -> bytes:
    backend = MemoryBackend()
    put_manifest(ChunkStore(backend), TREE)
    (data,) = backend.packs.values()
    return data


def make_repository(target: Path) -> None:
    from dsvc.porcelain.repository import Repository

    with tempfile.TemporaryDirectory() as folder:
        repo = Repository.init(folder)
        for path, data in TREE.items():
            name = os.path.join(folder, os.fsdecode(path))
            os.makedirs(os.path.dirname(name), exist_ok=True)
            Path(name).write_bytes(data)
        os.symlink("folder/text", os.path.join(folder, "link"))
        os.chmod(os.path.join(folder, "empty"), 0o755)
        repo.add([b""])
        repo.commit("first")
        Path(folder, "folder", "text").write_bytes(prose(150_000, 23))
        repo.add([b""])
        repo.commit("second")
        Path(folder, "staged").write_bytes(b"staged")
        repo.add([b""])
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for part in ("config", "git", "packs", "work"):
                archive.add(os.path.join(folder, ".dsvc", part), arcname=f".dsvc/{part}")
    target.write_bytes(buffer.getvalue())


if __name__ == "__main__":
    (HERE / "expected.json").write_text(json.dumps(expected(), indent=1) + "\n", encoding="utf-8")
    (HERE / "golden.pack").write_bytes(make_pack())
    make_repository(HERE / "repository.tar.gz")
