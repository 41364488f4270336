"""Where files are cut is part of the format: other cuts would store everything once more."""

from __future__ import annotations

import gc
import hashlib
from pathlib import Path

import pytest

from dsvc.model.ids import PackId
from dsvc.model.manifest import ChunkClass
from dsvc.store import chunker
from dsvc.store.local_backend import LocalBackend
from tests.storekit import make_layout, noise, prose

DATA = {
    "noise": lambda: noise(6_000_000, 1),
    "prose": lambda: prose(3_000_000, 1),
    "zeros": lambda: bytes(3_000_000),
}
# Number of chunks, and a hash of their lengths.
CUTS = {
    (ChunkClass.TEXT, "noise"): (393, "178830fc3c445fbd"),
    (ChunkClass.TEXT, "prose"): (196, "b2e2dc585780e1cc"),
    (ChunkClass.TEXT, "zeros"): (46, "b81b379253daed41"),
    (ChunkClass.RAW, "noise"): (39, "4b4e8e08d6994b4d"),
    (ChunkClass.RAW, "prose"): (23, "281b5bc3610a5e59"),
    (ChunkClass.RAW, "zeros"): (6, "f026e73c63a388fd"),
    (ChunkClass.PAGED, "noise"): (771, "c02d3dd0f558a3eb"),
    (ChunkClass.PAGED, "prose"): (400, "792812e2ec1c660e"),
    (ChunkClass.PAGED, "zeros"): (92, "11f9ce671f07b3d8"),
}


@pytest.mark.parametrize(("chunk_class", "name"), CUTS)
def test_the_same_bytes_are_cut_as_ever(chunk_class: ChunkClass, name: str) -> None:
    lengths = [len(part) for part in chunker.cut(chunk_class, DATA[name]())]
    digest = hashlib.sha256(",".join(map(str, lengths)).encode()).hexdigest()[:16]
    assert (len(lengths), digest) == CUTS[chunk_class, name]


def test_mapped_packs_are_given_back(tmp_path: Path) -> None:
    backend = LocalBackend(make_layout(tmp_path), durable=False)
    name = PackId(bytes(32))
    sink = backend.create()
    data = DATA["noise"]()
    sink.write([data])
    sink.publish(name)
    views = [backend.view(name, 4096 * n + 5, 100_000) for n in range(20)]
    assert all(bytes(view) == data[4096 * n + 5 :][:100_000] for n, view in enumerate(views))
    assert Path("/proc/self/maps").read_text().count(f"{name.hex()}.pack") > 0
    del views
    gc.collect()
    assert Path("/proc/self/maps").read_text().count(f"{name.hex()}.pack") == 0


@pytest.mark.parametrize("chunk_class", ChunkClass)
@pytest.mark.parametrize("name", ["noise", "prose"])
@pytest.mark.parametrize("step", [524_288, 700_001])
def test_a_stream_is_cut_as_the_whole(chunk_class: ChunkClass, name: str, step: int) -> None:
    data = DATA[name]()[:2_500_000]
    cutter, lengths, waiting = chunker.Chunker(chunk_class), [], b""
    for start in range(0, len(data), step):
        waiting += data[start : start + step]
        found = cutter.final_lengths(waiting, last=start + step >= len(data))
        lengths += found
        waiting = waiting[sum(found) :]
    assert waiting == b""
    assert lengths == [len(part) for part in chunker.cut(chunk_class, data)]


def test_sizes_are_those_of_the_format() -> None:
    assert chunker.SIZES == {
        ChunkClass.TEXT: (4096, 12_288, 65_536),
        ChunkClass.RAW: (32_768, 131_072, 524_288),
        ChunkClass.PAGED: (2048, 6144, 32_768),
    }
    assert chunker.ONE_CHUNK_BYTES == (4096, 524_288, 2048)
    assert [len(part) for part in chunker.cut(ChunkClass.RAW, bytes(524_288))] == [524_288]
