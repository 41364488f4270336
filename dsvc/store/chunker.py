"""Content-defined cut points (FastCDC by pyfastcdc); the only file that imports the chunker.

Cut points are those of one sequential pass from the first byte: they don't depend on buffers or cores.
Parameters are part of the format (``docs/format.md``); golden cut points guard them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from dsvc.model.manifest import ChunkClass


class Sizes(NamedTuple):
    """Least, average and greatest chunk length in bytes."""

    minimum: int
    average: int
    maximum: int


SIZES: Final = {
    ChunkClass.TEXT: Sizes(4 * 1024, 12 * 1024, 64 * 1024),
    ChunkClass.RAW: Sizes(32 * 1024, 128 * 1024, 512 * 1024),
    ChunkClass.PAGED: Sizes(2 * 1024, 6 * 1024, 32 * 1024),
}
NORMALIZED_CHUNKING: Final = 2
ONE_CHUNK_BYTES: Final = (
    SIZES[ChunkClass.TEXT].minimum,
    SIZES[ChunkClass.RAW].maximum,
    SIZES[ChunkClass.PAGED].minimum,
)
"""Up to which size a file of each class is one chunk, without looking for cut points."""


class Chunker:
    """Cuts a stream that arrives in buffers.

    Parameters
    ----------
    chunk_class : ChunkClass
        Which sizes apply.
    """

    def __init__(self, chunk_class: ChunkClass) -> None:
        from pyfastcdc import FastCDC  # not needed for files of one chunk, nor by verbs that only read

        sizes = SIZES[chunk_class]
        self._maximum = sizes.maximum
        self._cutter = FastCDC(
            avg_size=sizes.average,
            min_size=sizes.minimum,
            max_size=sizes.maximum,
            normalized_chunking=NORMALIZED_CHUNKING,
        )

    def final_lengths(self, buffer: memoryview | bytes, *, last: bool) -> list[int]:
        """Lengths of the chunks from the buffer's start that no later byte can change.

        What remains after their sum begins the next buffer. With `last` every byte is covered.
        """
        total = len(buffer)
        settled = total - self._maximum
        lengths = []
        for chunk in self._cutter.cut_buf(buffer):
            if not last and chunk.offset > settled:
                break
            lengths.append(chunk.length)
        return lengths


def cut(chunk_class: ChunkClass, data: bytes | memoryview) -> Iterator[memoryview]:
    """Cut a whole file that is in memory."""
    view = memoryview(data)
    if len(view) <= ONE_CHUNK_BYTES[chunk_class]:
        if view:
            yield view
        return
    start = 0
    for length in Chunker(chunk_class).final_lengths(view, last=True):
        yield view[start : start + length]
        start += length
