"""The part of docs/benchmarks.md about reliability, as tables of text."""

from collections.abc import Iterator, Sequence

from benchmarks.reliability_judge import TERMINATED, VERBS, rate
from benchmarks.results import SpecialResult
from benchmarks.verdict import mebibytes, megabytes, percent, seconds

Rows = list[tuple[str, ...]]
TOOLS = {
    "dsvc": "`dsvc fsck --read-data`",
    "git": "`git fsck --full`",
    "restic": "`restic check --read-data`",
    "borg": "`borg check --verify-data`",
}
CONTENTS = {"images": "files of 100 KB that don't compress", "jsonl": "one file of JSON Lines"}
SPARSE = ("add", "commit", "fsck", "checkout")
MILLION = {
    "add": "`add`",
    "commit": "`commit`",
    "fsck": "`fsck`: all structure, no file contents",
    "status": "`status`",
    "status without caches": "`status` after `rm -r .dsvc/cache`",
    "add without caches": "`add` after `rm -r .dsvc/cache`",
}
ABOUT_CHECK = """\
Each tool stored the same data once, then they checked it in turns, on one core each. The rate is that of
the data by processor time, with the start of the program. dsvc compares two digests of everything, and of
files in several chunks the digests of the whole file too."""
ABOUT_MILLION = """\
A million files of 900 bytes, all different, in 1,000 folders: as many chunks. Each command once."""
ABOUT_CRASH = """\
5,000 files, half of them changed. The command is killed with all of its processes half-way through its
writes, in the midst of the time that a lock file is there, and before its last write; the slowest of these
stands here (the median of its rounds). *again* is the same command once more. Beside it the same in a
repository where nothing was killed."""
ABOUT_DURABILITY = """\
10,000 files of 100 KB, read from memory, added to a new repository on a loop image of ext4; then commits of
one changed file each, without their `add`. `core.durability` is `full` if nobody sets it. In the last row
the packs are copied by hand, each flushed once: what the disk itself takes for these bytes."""
ABOUT_BLAKE3 = """\
`add` with BLAKE3 and with a cheap stub in its place (`benchmarks/without_blake3.py`), all of it on tmpfs."""
ABOUT_SPARSE = """\
A sparse file of 100 GB with 64 extents of 1 MiB. Its digests are those of all its bytes, zeros too."""
ABOUT_STOP = """\
Locks: a command is paused at its writes (the same points as above) while another one like it waits, then
killed; the time until the other one has ended. SIGTERM: sent at moments that a seed chose to commands on
500 MB; the time until the process has ended."""
CHECK_HEAD = ("", "data", "processor time", "times dsvc's", "one core", "memory")
TAKEN_HEAD = ("", "time", "processor time", "memory")
CRASH_HEAD = ("killed", "`status`", "else", "again", "else")
LEVEL_HEAD = ("`core.durability`", "`add`", "processor time", "`commit`", "processor time")
BLAKE3_HEAD = ("", "`add`", "without BLAKE3", "part", "part of the processor time")
STOP_HEAD = ("", "median", "longest")


def sections(result: SpecialResult) -> Iterator[tuple[str, str, Sequence[str], Rows]]:
    """Title, text, head and rows of each table."""
    yield "Every stored byte checked", ABOUT_CHECK, CHECK_HEAD, list(_checks(result))
    million: Rows = [(text, *_taken(result, f"million {name}")) for name, text in MILLION.items()]
    yield "A million files checked and looked at", ABOUT_MILLION, TAKEN_HEAD, million
    crashes = [_crash(result, verb) for verb in VERBS]
    yield "The next command after a crash", ABOUT_CRASH, CRASH_HEAD, crashes
    levels = [_level(result, level) for level in ("full", "commit", "none")]
    levels.append(("copied by hand", _seconds(result, "durability plain copy wall"), "", "", ""))
    yield "What durability costs", ABOUT_DURABILITY, LEVEL_HEAD, levels
    shares = [_blake3(result, name) for name in CONTENTS]
    yield "What BLAKE3 is of `add`", ABOUT_BLAKE3, BLAKE3_HEAD, shares
    sparse: Rows = [(f"`{name}`", *_taken(result, f"sparse {name}")) for name in SPARSE]
    yield "A sparse file", ABOUT_SPARSE, TAKEN_HEAD, sparse
    yield "Locks of the dead, and SIGTERM", ABOUT_STOP, STOP_HEAD, list(_stops(result))


def _seconds(result: SpecialResult, name: str) -> str:
    value = result.value(name)
    return "–" if value is None else seconds(value)


def _taken(result: SpecialResult, name: str) -> tuple[str, str, str]:
    peak = result.value(f"{name} peak")
    memory = "–" if peak is None else mebibytes(peak)
    return _seconds(result, f"{name} wall"), _seconds(result, f"{name} cpu"), memory


def _checks(result: SpecialResult) -> Iterator[tuple[str, ...]]:
    for workload, content in CONTENTS.items():
        own = result.value(f"fsck {workload} dsvc cpu")
        size = result.value(f"fsck {workload} bytes")
        for tool, command in TOOLS.items():
            taken, speed = result.value(f"fsck {workload} {tool} cpu"), rate(result, workload, tool)
            if taken is None or speed is None or not own or size is None:
                continue
            _, cpu, memory = _taken(result, f"fsck {workload} {tool}")
            yield (
                command,
                f"{megabytes(size)}, {content}",
                cpu,
                f"{taken / own:.1f}",
                f"{speed:.2f} GB/s",
                memory,
            )


def _crash(result: SpecialResult, verb: str) -> tuple[str, ...]:
    names = (f"crash {verb} {name}{usual} wall" for name in ("status", "again") for usual in ("", " usual"))
    return f"`{verb}`", *(_seconds(result, name) for name in names)


def _level(result: SpecialResult, level: str) -> tuple[str, ...]:
    names = (f"durability {name} {level} {part}" for name in ("add", "commit") for part in ("wall", "cpu"))
    return f"`{level}`", *(_seconds(result, name) for name in names)


def _blake3(result: SpecialResult, workload: str) -> tuple[str, ...]:
    shares = [result.value(f"blake3 {workload} share {part}") for part in ("wall", "cpu")]
    taken = (_seconds(result, f"blake3 {workload} {name} wall") for name in ("with", "without"))
    return CONTENTS[workload], *taken, *("–" if share is None else percent(share) for share in shares)


def _stops(result: SpecialResult) -> Iterator[tuple[str, ...]]:
    for sort, text, verbs in (
        ("lock", "`{}` killed, the next one ended", VERBS),
        ("term", "SIGTERM in `{}`", TERMINATED),
    ):
        for verb in verbs:
            cells = (_seconds(result, f"stop {sort} {verb} {name}") for name in ("median", "worst"))
            yield text.format(verb), *cells
