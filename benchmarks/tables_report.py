"""The part of docs/benchmarks.md about row diffs and merges, as tables of text."""

from collections.abc import Iterator, Sequence

from benchmarks.results import SpecialResult
from benchmarks.verdict import mebibytes, megabytes, seconds

Rows = list[tuple[str, ...]]
DIFF_STEPS = (
    ("cold_worktree", "dsvc, working tree, no index"),
    ("cold_commits", "dsvc, two commits, no index"),
    ("indexed", "dsvc, two commits, indexed"),
    ("indexed_call", "the same, the call alone"),
    ("cold_commits_rows", "dsvc, every row listed, no index"),
    ("indexed_rows", "dsvc, every row listed, indexed"),
    ("join", "DuckDB full join, by hand"),
    ("oxen", "oxen"),
    ("oxen-bare", "oxen-bare"),
    ("daff", "daff"),
)
MERGE_STEPS = (
    ("cold", "no index"),
    ("indexed", "indexed"),
    ("cold_call", "no index, the call alone"),
    ("indexed_call", "indexed, the call alone"),
)
# The columns of each table: what is said of a case, and its name among the readings.
PARQUET = (("Parquet, 200,000 rows", "parquet-200k"), ("Parquet, 2 M rows", "parquet-2M"))
TEXT = (
    ("CSV, 200,000 rows", "csv-200k"),
    ("JSONL, 200,000 rows", "jsonl-200k"),
    ("CSV, 2 M rows", "csv-2M"),
    ("CSV, 640 MB", "csv-640MB"),
    ("JSONL, 640 MB", "jsonl-640MB"),
)
MERGED = (
    ("Parquet", "merge-parquet"),
    ("CSV", "merge-csv"),
    ("JSONL", "merge-jsonl"),
    ("Parquet, 100 changes", "merge-100-changes"),
    ("Parquet, 10,000 changes", "merge-10000-changes"),
    ("Parquet, 2 M rows", "merge-2M-rows"),
)
ABOUT_DIFF = """\
1,000 cells changed, 500 rows removed, 1,000 rows added, the key is given. Time and peak memory of whole
processes, and in the last column the time with 2 M rows in times of that with 200,000. JSONL of 640 MB is
the workload *jsonl*. A peer is not tried with 2 M rows where it needs more than 12 s for 200,000."""
ABOUT_MERGE = """\
200,000 rows and 1,000 changes on each side where nothing else is said: half of them cells, a quarter rows
removed, a quarter rows added. Each merge is compared with what DuckDB says it must give."""


def sections(result: SpecialResult) -> Iterator[tuple[str, str, Sequence[str], Rows]]:
    """Title, text, head and rows of each table."""
    head, rows = _grid(result, PARQUET, DIFF_STEPS)
    growth = {text: _growth(result, step) for step, text in DIFF_STEPS}
    rows = [(*row, growth.get(row[0], "")) for row in rows]
    yield "Row diffs of Parquet", ABOUT_DIFF, (*head, "2 M to 200,000"), rows
    yield "Row diffs of text", "The same edits.", *_grid(result, TEXT, DIFF_STEPS)
    yield "Three-way merges", ABOUT_MERGE, *_grid(result, MERGED, MERGE_STEPS)


def _has(result: SpecialResult, columns: Sequence[tuple[str, str]], step: str) -> bool:
    return any(result.value(f"{case}_{step}") is not None for _, case in columns)


def _grid(
    result: SpecialResult, columns: Sequence[tuple[str, str]], steps: Sequence[tuple[str, str]]
) -> tuple[Sequence[str], Rows]:
    rows: Rows = []
    sizes = [result.value(f"{case}_file") for _, case in columns]
    if any(sizes):
        rows.append(("file", *("–" if size is None else megabytes(size) for size in sizes)))
    rows += [
        (text, *(_cell(result, f"{case}_{step}") for _, case in columns))
        for step, text in steps
        if _has(result, columns, step)
    ]
    return ("", *(text for text, _ in columns)), rows


def _cell(result: SpecialResult, name: str) -> str:
    taken, peak = result.value(name), result.value(f"{name}_peak")
    if taken is None:
        return "–"
    return seconds(taken) + ("" if peak is None else f", {mebibytes(peak)}")


def _growth(result: SpecialResult, step: str) -> str:
    small, large = (result.value(f"{case}_{step}") for _, case in PARQUET)
    return "–" if not small or large is None else f"{large / small:.2f}"
