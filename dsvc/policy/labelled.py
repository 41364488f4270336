"""Which judged files have labels, as far as lineage says so."""

from __future__ import annotations

from dsvc.model.run_record import RunKind
from dsvc.model.source_record import Acquisition
from dsvc.policy.case import Case
from dsvc.policy.recorded_runs import runs_of


def labelled_files(case: Case) -> set[tuple[bytes, bytes]]:
    """Files that label runs gave out, or that come from the output of annotation elsewhere.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a list of files can't be read: without it, what was labelled would pass as not labelled.
    """
    found: set[tuple[bytes, bytes]] = set()
    for run in runs_of(case, RunKind.LABEL):
        tree = case.judged.origins.runs.trees[run.id]
        found |= {(each.path, each.digest) for each in tree.files_made()}
    annotated = {
        source.id
        for source in case.sources
        for _, record in case.stated(source)
        if record.acquisition is Acquisition.ANNOTATION_OUTPUT
    }
    closure = case.judged.closure
    for node in closure.roots if annotated else ():
        if annotated.intersection(closure.sources_of(node)):
            found.add((node.path, node.digest))
    return found
