"""Write the worked example of docs/format.md: a pack of one file and its manifest, byte by byte.

Run without arguments to rewrite the example in place; a test compares the two.
"""

from __future__ import annotations

import re
from pathlib import Path

import blake3
import xxhash

from dsvc.model.encoding import encode
from dsvc.model.manifest import MODE_FILE, Entry, Kind
from dsvc.store import pack
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import TreeBuilder
from dsvc.store.memory_backend import MemoryBackend

PAGE = Path(__file__).resolve().parents[1] / "docs" / "format.md"
BEGIN, END = "<!-- example: begin -->", "<!-- example: end -->"
CONTENT = b"hello\n"


def example_pack() -> tuple[str, str, bytes]:
    """Make a pack with the file ``hello.txt``; returns its name, the manifest's root, its bytes."""
    backend = MemoryBackend()
    store = ChunkStore(backend)
    digest = blake3.blake3(CONTENT).digest()
    store.put_chunk(digest, CONTENT, raw=False)
    entry = Entry(
        b"hello.txt",
        MODE_FILE,
        len(CONTENT),
        digest,
        xxhash.xxh3_128_digest(CONTENT),
        kind=int(Kind.TEXT),
    )
    builder = TreeBuilder(store)
    builder.add(entry.path, encode(entry), entry.size)
    root = builder.finish()
    name = store.publish()
    assert name is not None
    return name.hex(), root.hex(), backend.packs[name]


def dump(data: bytes, start: int, end: int) -> list[str]:
    """Lines of sixteen bytes; a run of equal lines is shown once, then ``*``."""
    lines: list[str] = []
    before = b""
    for offset in range(start, end, 16):
        row = data[offset : min(offset + 16, end)]
        if row == before and len(row) == 16 and offset + 16 < end:
            if lines[-1] != "*":
                lines.append("*")
            continue
        before = row
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{offset:06x}  {row.hex(' '):<47}  {text}")
    return lines


def example() -> str:
    """Text of the example."""
    name, root, data = example_pack()
    _, offset, length, blocks, ids, _ = pack.TRAILER.unpack(data[-pack.TRAILER.size :])
    parts = [
        f"The file `hello.txt` with the bytes `{CONTENT!r}`, in a manifest whose root is",
        f"`{root}`, makes the pack",
        f"`{name}.pack` of {len(data)} bytes, with {blocks} blocks and {ids} ids.",
        "",
        "```",
        "# header",
        *dump(data, 0, 16),
    ]
    position = 16
    for number in range(blocks):
        row = pack.BLOCK_ROW.unpack_from(data, offset + number * pack.BLOCK_ROW.size)
        start, stored = row[0], row[1]
        parts += [f"# block {number}: header", *dump(data, position, start)]
        parts += [f"# block {number}: stored bytes", *dump(data, start, start + stored)]
        position = start + stored
    rows = offset + blocks * pack.BLOCK_ROW.size
    parts += ["# footer: block rows", *dump(data, offset, rows)]
    parts += ["# footer: fanout", *dump(data, rows, rows + 1024)]
    parts += ["# footer: ids", *dump(data, rows + 1024, rows + 1024 + 32 * ids)]
    parts += ["# footer: id rows", *dump(data, rows + 1024 + 32 * ids, offset + length)]
    parts += ["# trailer", *dump(data, offset + length, len(data)), "```"]
    return "\n".join(parts)


def with_example(text: str) -> str:
    """The page with the example as it is now."""
    return re.sub(
        f"{re.escape(BEGIN)}.*{re.escape(END)}",
        lambda _: f"{BEGIN}\n{example()}\n{END}",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    PAGE.write_text(with_example(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
