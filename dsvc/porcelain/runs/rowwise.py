"""The test of a run that is said to be row-wise: of a few rows alone it must make what it made of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

import blake3

from dsvc.model.errors import LineageBrokenError
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.model.run_record import Role, Run
from dsvc.porcelain.runs.rowwise_rows import file_names, row_names, table_contents
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.runs.run_comparison import unmatched
from dsvc.porcelain.runs.run_storage import Captured
from dsvc.porcelain.runs.scratch import Scratch, scratch_folder
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.table.index.row_index import Hashes, Numbers

SAMPLE_ROWS: Final = 32
"""Rows of each input that the test takes, besides dropped ones."""
SAMPLE_DROPPED: Final = 8
"""Dropped rows of each input that it takes further."""
MAX_NAMED: Final = 5

Execute = Callable[[Scratch], int]
"""Runs the command in a scratch folder; returns its exit status."""


class RowwiseError(LineageBrokenError):
    """A run is not row-wise, though it was said to be; nothing was recorded."""

    code: ClassVar[str] = "not-rowwise"


def check_rowwise(repo: Workspace, captured: Captured, code: Iterable[Entry], execute: Execute) -> None:
    """Run a command on a sample of its input rows and compare with what the full run made of them.

    Which rows are taken follows from the inputs' digests alone. Lookups and code files are there whole. What
    the sample's outputs hold must equal, as multisets of rows, the children that the sample's rows have.

    Parameters
    ----------
    code : iterable of Entry
        Code files, stored.
    execute : callable
        Runs the command.

    Raises
    ------
    RowwiseError
        If it made something else, naming rows; or if the run can't be row-wise at all.
    """
    rows = [n for n, each in enumerate(captured.inputs) if each.role is Role.INPUT]
    _check_possible(captured, rows)
    samples = {number: _sample(captured, number) for number in rows}
    if not any(len(sample) for sample in samples.values()):
        return
    with scratch_folder(repo) as scratch:
        lookups = [e for each in captured.inputs if each.role is not Role.INPUT for e in each.entries]
        scratch.put(repo, [*lookups, *code])
        placed = set().union(*(_place(repo, scratch, captured, n, rows) for n, rows in samples.items()))
        scratch.make_folders(
            each.path if each.folder else each.path.rpartition(b"/")[0] for each in captured.outputs
        )
        status = execute(scratch)
        if status:
            raise _refused(
                captured.run, f"its command fails with status {status} on {_count(samples)} rows alone"
            )
        for number in range(len(captured.outputs)):
            _check_output(repo, scratch, captured, number, samples, placed)


def _check_possible(captured: Captured, rows: Sequence[int]) -> None:
    run = captured.run
    if not rows:
        raise _refused(run, "it reads no rows")
    for number in rows:
        if run.inputs[number].fates is None:
            name = display_path(run.inputs[number].path)
            raise _refused(
                run, f"its input {name} has no rows", hint="name what it looks things up in with --lookup"
            )
    added = sum(output.added for output in run.outputs)
    if added:
        raise _refused(run, f"{added} of the rows that it made come from no row of its inputs")


def _sample(captured: Captured, number: int) -> Numbers:
    """Rows of an input, ascending: some of all, then some of those that were dropped."""
    import numpy as np

    total = captured.run.inputs[number].records or 0
    hasher = blake3.blake3()
    for each in captured.run.inputs:
        hasher.update(each.digest)
    hasher.update(number.to_bytes(4, "little"))
    seed = np.uint64(int.from_bytes(hasher.digest()[:8], "little"))

    def first(among: Numbers, count: int) -> Numbers:
        mixed = (among.astype(np.uint64) ^ seed) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
        return among[np.argsort(mixed ^ (mixed >> np.uint64(32)), kind="stable")[:count]]

    chosen = first(np.arange(total), SAMPLE_ROWS)
    account = captured.rows.accounts.get(number)
    if account is not None:
        others = account.dropped[~np.isin(account.dropped, chosen)]
        chosen = np.concatenate((chosen, first(others, SAMPLE_DROPPED)))
    return np.sort(chosen)


def _place(
    repo: Workspace, scratch: Scratch, captured: Captured, number: int, rows: Numbers
) -> set[tuple[bytes, bytes]]:
    """Write the sample of an input; returns paths and digests of what is there then."""
    artifact = captured.inputs[number]
    if artifact.folder:
        files = sorted(artifact.entries, key=lambda entry: entry.path)
        chosen = [files[row] for row in rows.tolist()]
        scratch.put(repo, chosen)
        return {(entry.path, entry.digest) for entry in chosen}
    (entry,) = artifact.entries
    data = part_of_table(repo, entry, rows)
    scratch.write(entry.path, data)
    return {(entry.path, blake3.blake3(data).digest())}


def part_of_table(repo: Workspace, entry: Entry, rows: Numbers) -> bytes:
    """Write a table of some rows of another, in its format and with its settings.

    Raises
    ------
    NotATableError, TableLimitError
        If it can't be read as a table.
    """
    from dsvc.porcelain.runs.recompute_table import part_of
    from dsvc.porcelain.runs.run_rows import table_of
    from dsvc.porcelain.tables.row_indexes import EMPTY_INDEX, RowIndexes
    from dsvc.table.origin.source import NotATableError

    table = table_of(repo, ArtifactFiles(entry.path, False, (entry,)))
    if table is None:
        raise NotATableError(f"{display_path(entry.path)} is no table")
    index = RowIndexes(repo).get(table) if entry.size else EMPTY_INDEX
    return part_of(table, index.records(rows), index)


def _check_output(
    repo: Workspace,
    scratch: Scratch,
    captured: Captured,
    number: int,
    samples: Mapping[int, Numbers],
    placed: set[tuple[bytes, bytes]],
) -> None:
    artifact, output = captured.outputs[number], captured.run.outputs[number]
    if output.records is None:
        return
    import numpy as np

    children = [
        links.children(samples[n]).outputs for (o, n), links in captured.rows.links.items() if o == number
    ]
    expected = np.unique(np.concatenate(children)) if children else np.zeros(0, np.int64)
    if artifact.folder:
        contents = _folder_contents(scratch, artifact, expected, placed)
    else:
        contents = table_contents(repo, scratch, artifact.entries[0], expected)
    missing, strange = unmatched(*contents)
    if len(missing) or len(strange):
        raise _differs(repo, captured, number, samples, expected[missing], len(strange))


def _folder_contents(
    scratch: Scratch, artifact: ArtifactFiles, expected: Numbers, placed: set[tuple[bytes, bytes]]
) -> tuple[Hashes, Hashes]:
    """Hashes of the files that are expected in a folder, and of those that are there."""
    import numpy as np

    files = sorted(artifact.entries, key=lambda entry: entry.path)
    wanted = {(files[row].path, files[row].digest) for row in expected.tolist()}
    there = [entry for path in scratch.below(artifact.path) if (entry := scratch.entry(path)) is not None]
    found = {(entry.path, entry.digest) for entry in there}
    # What the run reads and leaves as it is, is an output only if the full run says so.
    found -= placed - wanted
    sides = [np.array([_file_hash(*file) for file in sorted(each)], np.uint64) for each in (wanted, found)]
    return sides[0], sides[1]


def _file_hash(path: bytes, digest: bytes) -> int:
    return int.from_bytes(blake3.blake3(path + b"\0" + digest).digest()[:8], "little")


def _differs(
    repo: Workspace,
    captured: Captured,
    number: int,
    samples: Mapping[int, Numbers],
    missing: Numbers,
    strange: int,
) -> RowwiseError:
    """Error that names input rows: parents of what is missing, else those that should have been dropped."""
    import numpy as np

    guilty: dict[int, Numbers] = {}
    for n, sample in samples.items():
        links = captured.rows.links.get((number, n))
        account = captured.rows.accounts.get(n)
        if len(missing) and links is not None:
            parents = np.unique(links.parents(missing).inputs)
            guilty[n] = parents[np.isin(parents, sample)]
        elif not len(missing) and account is not None:
            guilty[n] = sample[np.isin(sample, account.dropped)]
    if not any(len(rows) for rows in guilty.values()):
        guilty = dict(samples)
    names: list[str] = []
    for n, rows in guilty.items():
        artifact, few = captured.inputs[n], rows[:MAX_NAMED]
        if len(few):
            names += (
                file_names(artifact, few)
                if artifact.folder
                else row_names(repo, artifact.entries[0], captured.run.inputs[n].key, few)
            )
    output = display_path(captured.outputs[number].path)
    more = sum(len(rows) for rows in guilty.values()) - len(names)
    listed = ", ".join(names) + (f" and {more} more" if more else "")
    return _refused(
        captured.run,
        f"on {_count(samples)} rows alone it makes other rows of {output} than on all: {len(missing)} are "
        f"missing, {strange} are other ones; they come from {listed}",
        details={"output": output, "missing": len(missing), "strange": strange, "rows": names},
    )


def _count(samples: Mapping[int, Numbers]) -> int:
    return sum(len(rows) for rows in samples.values())


_HINT: Final = (
    "a step that looks at other rows too (a mean, a rank, duplicates) is recorded without --rowwise"
)


def _refused(
    run: Run, why: str, *, hint: str = _HINT, details: Mapping[str, object] | None = None
) -> RowwiseError:
    return RowwiseError(
        f"{run.name} is not row-wise: {why}; nothing was recorded", hint=hint, details=dict(details or {})
    )
