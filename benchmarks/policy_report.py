"""The part of docs/benchmarks.md about policy, as tables of text."""

from collections.abc import Iterator, Sequence

from benchmarks.results import SpecialResult
from benchmarks.verdict import mebibytes, seconds

Rows = list[tuple[str, ...]]
ASKED = (
    ("check", "`dsvc check`"),
    ("check_hook", "`dsvc check --staged --stage commit --gate`, a small change"),
    ("check_commit", "`dsvc commit` of that change"),
    ("check_rescan", "`dsvc check --rescan`: detectors look at every file"),
)
ABOUT_GATE = """\
A repository of 100,000 small files, 500 runs and 100 sources under the pack `default`; detections are known,
but for the last row. No other tool has such a gate."""
ABOUT_SCANS = """\
Lines of JSON, half Chinese and half English, one in fifty with a planted value; processor time of one
core."""
ABOUT_LABELLED = """\
Texts of each kind with a planted value, and near misses of each kind, made with a seed
(`benchmarks/policy_labelled.py`). Recall: the share in which it was found. False: the share in which a near
miss was taken for something."""
ABOUT_REAL = """\
Text of packages as they are; the hits were looked at one by one, and what is wrong of them is counted in the
last column."""


def sections(result: SpecialResult) -> Iterator[tuple[str, str, Sequence[str], Rows]]:
    """Title, text, head and rows of each table."""
    rows = [(text, *_asked(result, name)) for name, text in ASKED]
    yield "The gate", ABOUT_GATE, ("", "whole process", "processor time", "memory"), rows
    yield "Scans", ABOUT_SCANS, ("characters", "personal data", "secrets", "both"), list(_scans(result))
    labelled = sorted(_labelled(result))
    yield "A labelled set", ABOUT_LABELLED, ("", "of", "share"), labelled
    yield "Text of real packages", ABOUT_REAL, ("", "size", "hits", "wrong, each MB"), list(_real(result))


def _asked(result: SpecialResult, name: str) -> tuple[str, str, str]:
    wall, cpu, peak = (result.value(f"{name}_{part}") for part in ("wall", "cpu", "peak"))
    return (
        "–" if wall is None else seconds(wall),
        "–" if cpu is None else seconds(cpu),
        "–" if peak is None else mebibytes(peak),
    )


def _scans(result: SpecialResult) -> Iterator[tuple[str, ...]]:
    for name, text in (("plain", "as they are"), ("escaped", "escaped")):
        taken = [result.value(f"scan_{name}_{detector}") for detector in ("pii", "secrets")]
        rate = result.value(f"scan_{name}_mb_each_second")
        cells = ("–" if each is None else seconds(each) for each in taken)
        yield (text, *cells, "–" if rate is None else f"{rate:.0f} MB/s")


def _labelled(result: SpecialResult) -> Iterator[tuple[str, ...]]:
    for reading in result.readings:
        sort, colon, like = reading.name.partition(": ")
        if colon and sort in ("labelled_recall", "labelled_false"):
            what = "recall" if sort == "labelled_recall" else "false"
            yield like.replace("_", " "), what, f"{reading.value:.2f}"


def _real(result: SpecialResult) -> Iterator[tuple[str, ...]]:
    for reading in result.readings:
        sort, colon, name = reading.name.partition(": ")
        if not colon or sort != "real_bytes":
            continue
        files = name.partition(",")[0]
        found = [
            f"{each.name.rpartition(': ')[2]} {each.value:,.0f}"
            for each in result.readings
            if each.name.startswith(f"real_hits: {files}: ")
        ]
        wrong = next(
            (r.value for r in result.readings if r.name.startswith(f"real_false_each_mb: {files}")), None
        )
        megabytes = f"{reading.value / 1e6:.1f} MB"
        yield name, megabytes, ", ".join(found) or "none", "–" if wrong is None else f"{wrong:.2f}"
