"""What a release is mixed of, row by row: which sources and which modalities, and what is synthetic.

A file whose every row can come from one source only takes no row map: the lineage of the files says it. Of
all others the ways of all rows are followed at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dsvc.lineage.closure import Closure
from dsvc.lineage.coverage import Origins
from dsvc.lineage.descent import Descent, descent_of
from dsvc.lineage.graph import ArtifactNode, RunNode, SourceNode
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry, Kind
from dsvc.model.run_record import RunKind
from dsvc.model.source_record import Acquisition, SourceRecord
from dsvc.porcelain.state.moment import Moment
from dsvc.porcelain.state.workspace import Workspace
from dsvc.release.mixture import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsvc.lineage.row_ways import Way
    from dsvc.porcelain.lineage.lineage_scope import LineageScope

    Numbers = NDArray[np.int64]

_KINDS: Final = {
    Kind.BINARY: "binary",
    Kind.TEXT: "text",
    Kind.IMAGE: "image",
    Kind.TABLE: "table",
}


def mixture_parts(
    repo: Workspace,
    commit: CommitId,
    known: Origins,
    closure: Closure,
    entries: Sequence[Entry],
    records: Mapping[str, SourceRecord],
    moment: Moment | None = None,
) -> Iterator[Part]:
    """Say of files how many of their rows come from which sources; of one that is no table it is one row.

    Parameters
    ----------
    known, closure
        Where they come from.
    entries : sequence of Entry
        The files; all are in the closure.
    records : mapping of str to SourceRecord
        Of the sources of the closure, by id.
    moment : Moment or None
        What was recorded of sources later is not known; None: all is.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a run, a source or a row map can't be read.
    """
    descents = descent_of(closure)
    # Rows that a run made of nothing come from no source, whatever the run read besides.
    made = any(known.runs.run(id_).rows["added"] for id_ in closure.runs)
    generated = any(known.runs.run(id_).kind is RunKind.SYNTHESIZE for id_ in closure.runs)
    several: list[Entry] = []
    for entry in entries:
        descent = descents.get(ArtifactNode(entry.path, entry.digest), Descent())
        rows = 1 if entry.rows is None else entry.rows
        if made or generated or len(descent.sources) > 1 or (descent.sources and not descent.whole):
            several.append(entry)
        else:
            yield _part(entry, rows, descent.sources, records, generated=False)
    if several:
        from dsvc.porcelain.lineage.lineage_scope import LineageScope

        yield from _by_row(repo, LineageScope(repo, str(commit), moment), several, records)


def _part(
    entry: Entry,
    rows: int,
    sources: tuple[str, ...],
    records: Mapping[str, SourceRecord],
    *,
    generated: bool,
) -> Part:
    known = [records[name] for name in sources if name in records]
    stated = [_is_synthetic(record) for record in known]
    synthetic: bool | None = True if generated or True in stated else None
    if synthetic is None and known and None not in stated:
        synthetic = False
    return Part(entry.path, rows, sources, _type(entry, known), synthetic)


def _is_synthetic(record: SourceRecord) -> bool | None:
    """Whether what a source has is synthetic; None where it doesn't say."""
    said = record.fields.get("synthetic")
    if record.acquisition is Acquisition.SYNTHETIC or said in ("yes", True):
        return True
    return False if said in ("no", False) else None


def _type(entry: Entry, known: Iterable[SourceRecord]) -> str:
    found: set[str] = set()
    for record in known:
        said = record.fields.get("modality")
        found.update(
            str(each) for each in (said if isinstance(said, list | tuple) else [said] if said else [])
        )
    return "+".join(sorted(found)) or _KINDS[Kind(entry.kind)]


# Row by row


def _by_row(
    repo: Workspace, scope: LineageScope, entries: Sequence[Entry], records: Mapping[str, SourceRecord]
) -> Iterator[Part]:
    """Follow the rows of files back, all of them at once."""
    import numpy as np

    from dsvc.lineage.row_flow import RowFlow
    from dsvc.lineage.row_ways import ways_of

    counts = [1 if entry.rows is None else entry.rows for entry in entries]
    ends = np.cumsum(counts)
    total = int(ends[-1])
    of_source: dict[str, NDArray[np.bool_]] = {}
    generated = np.zeros(total, np.bool_)
    for node, way in ways_of(scope.builder, RowFlow(repo.store, scope.builder), _starts(scope, entries)):
        if isinstance(node, SourceNode):
            of_source.setdefault(node.id, np.zeros(total, np.bool_))[way.rows()] = True
        elif isinstance(node, RunNode) and scope.builder.index.runs[node.id].kind is RunKind.SYNTHESIZE:
            generated[way.rows()] = True
    codes, groups = _groups([*sorted(of_source)], of_source, generated)
    begin = 0
    for entry, end in zip(entries, ends.tolist(), strict=True):
        found, sizes = np.unique(codes[begin:end], return_counts=True)
        for code, rows in zip(found.tolist(), sizes.tolist(), strict=True):
            names, made = groups[code]
            yield _part(entry, rows, names, records, generated=made)
        if begin == end:
            yield _part(entry, 0, (), records, generated=False)
        begin = end


def _groups(
    names: Sequence[str], of_source: Mapping[str, NDArray[np.bool_]], generated: NDArray[np.bool_]
) -> tuple[Numbers, list[tuple[tuple[str, ...], bool]]]:
    """Number the sets of sources that rows have: the number of each row, and the sets."""
    import numpy as np

    codes = generated.astype(np.int64)
    groups: list[tuple[tuple[str, ...], bool]] = [((), False), ((), True)]
    for name in names:
        found, codes = np.unique(codes * 2 + of_source[name], return_inverse=True)
        codes = codes.reshape(-1)
        groups = [
            ((*groups[number // 2][0], name), groups[number // 2][1]) if number % 2 else groups[number // 2]
            for number in found.tolist()
        ]
    return codes, groups


def _starts(scope: LineageScope, entries: Sequence[Entry]) -> dict[ArtifactNode, Way]:
    """Where the ways begin: at each file; where a run made it with a folder, at the folder's record of it."""
    import numpy as np

    from dsvc.lineage.links import Links, ordered
    from dsvc.lineage.row_ways import NO_WAY, Way, together

    builder = scope.builder
    found: dict[ArtifactNode, Way] = {}
    begin = 0
    for entry in entries:
        count = 1 if entry.rows is None else entry.rows
        places = np.arange(begin, begin + count, dtype=np.int64)
        begin += count
        file = builder.add_file(entry)
        held = (
            []
            if builder.makers(file)
            else [each for each in builder.holding(file) if builder.makers(each[0])]
        )
        for folder, record in held:
            part = Way(Links(places, np.full(count, record, np.int64)))
            found[folder] = together(found.get(folder), part)
        if not held and entry.rows is not None:
            found[file] = together(found.get(file), Way(ordered(places, np.arange(count, dtype=np.int64))))
        elif not held:
            found[file] = together(found.get(file), Way(NO_WAY.links, places))
    return found
