"""Result files, damaged: for tests that a reader gives an answer or a typed error, and nothing else."""

from __future__ import annotations

import copy
import io
import json
import random
from pathlib import Path
from typing import Any

import msgspec

from dsvc.feedback.importers.importer import FeedbackMalformedError, Imported, Importer, ImportOptions
from dsvc.model.feedback import Sample

FILES = Path(__file__).resolve().parent / "feedback_files"
REVIEWS: list[dict[str, Any]] = [
    json.loads(line) for line in (FILES / "reviews.jsonl").read_text("utf-8").splitlines()
]
VALUES: list[Any] = [
    None, True, -1, 0, 1, 7, 2**64, 1e308, float("nan"), float("inf"), "", "C", "x" * 300, "\ud800", "中", [],
    [1], {}, {"value": "C"}, [{}], [[]],
]  # fmt: skip


def opened(importer: Importer, data: bytes, options: ImportOptions | None = None) -> Imported:
    """Read a file from memory."""
    return importer.read(lambda: io.BytesIO(data), options or ImportOptions())


def everything(imported: Imported) -> list[Sample]:
    """Read all samples, and see that all of it can be stored."""
    samples = list(imported.samples)
    msgspec.json.encode([imported.run, imported.metrics, samples])
    return samples


def answers(importer: Importer, data: bytes, options: ImportOptions | None = None) -> bool:
    """Read a file; False where it is refused by the error that is meant for it."""
    try:
        everything(opened(importer, data, options))
    except FeedbackMalformedError:
        return False
    return True


def damaged_bytes(data: bytes, seed: int) -> bytes:
    """Cut, flip, repeat or leave out some bytes."""
    random_ = random.Random(seed)
    changed = bytearray(data)
    for _ in range(random_.randint(1, 3)):
        at = random_.randrange(len(changed) + 1)
        span = random_.choice((1, 1, 2, 8, 300))
        how = random_.randrange(5)
        if how == 0:
            del changed[at:]
        elif how == 1:
            del changed[at : at + span]
        elif how == 2:
            changed[at:at] = changed[at : at + span]
        elif how == 3:
            changed[at : at + span] = random_.randbytes(min(span, len(changed) - at))
        elif at < len(changed):
            changed[at] ^= 1 << random_.randrange(8)
        if not changed:
            break
    return bytes(changed)


def damaged_json(document: Any, seed: int) -> Any:
    """Replace or remove one value somewhere in a document."""
    random_ = random.Random(seed)
    document = copy.deepcopy(document)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        items = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, each in items:
            places.append((value, key))
            walk(each)

    walk(document)
    holder, key = random_.choice(places)
    if random_.random() < 0.2:
        del holder[key]
    else:
        holder[key] = copy.deepcopy(random_.choice(VALUES))
    return document
