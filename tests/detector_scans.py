"""What the tests of file detectors share: a detector over bytes in memory, a finder over lines."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dsvc.model.detection import Detection, Hit
from dsvc.policy.detectors.detector import FileDetector, ScannedFile
from dsvc.policy.detectors.text_blocks import Units
from dsvc.policy.detectors.text_scan import Finder
from dsvc.table.origin.memory_source import MemorySource


def scan(detector: FileDetector, data: bytes | str, name: str = "a.txt") -> Detection:
    """Look at a file of this content and name."""
    content = data.encode() if isinstance(data, str) else data
    return detector.scan(ScannedFile.of(name.encode(), MemorySource(name, content)))


def kinds(detector: FileDetector, data: bytes | str, name: str = "a.txt") -> dict[str, int]:
    """Count what is in a file."""
    return dict(scan(detector, data, name).counts)


def only_hit(detector: FileDetector, data: bytes | str, name: str = "a.txt") -> Hit:
    """Give the one hit that is in a file."""
    (hit,) = scan(detector, data, name).hits
    return hit


def found(finder: Finder, lines: list[str]) -> list[tuple[int, int, str, str]]:
    """Find in lines, without the rest of a scan."""
    parts = [line.encode() + b"\n" for line in lines]
    offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    units = Units(b"".join(parts), offsets, np.arange(len(parts), dtype=np.int64))
    return sorted((each.unit, each.at, each.kind, each.value) for each in finder.find(units))


def parquet(columns: dict[str, object]) -> bytes:
    """Write a table."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())
