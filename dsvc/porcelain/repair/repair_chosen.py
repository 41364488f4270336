"""Which rows of a row-wise run are done again with other parameters or code: those that a plan names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsvc.lineage.link_file import LinkFile
from dsvc.lineage.row_set import decode_rows
from dsvc.model.run_record import Role
from dsvc.porcelain.recompute.recompute import Correspondence, NewArtifact
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.lineage.run_tree import RunTree
    from dsvc.model.repair import Plan

    Numbers = NDArray[np.int64]


def chosen_inputs(plan: Plan, tree: RunTree) -> dict[int, NewArtifact]:
    """Inputs of the run that a plan does again; marked are the rows that flagged and selected ones came from.

    Nothing is marked where the plan names every row that the run made: it is done again as a whole then, and
    rows that it left out get another chance.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If the run's row maps can't be read.
    """
    record = tree.run
    wanted: dict[int, Numbers] = {}
    for number, output in enumerate(record.outputs):
        planned = plan.planned(output.path)
        if planned is not None and planned.digest == output.digest:
            wanted[number] = np.union1d(decode_rows(planned.flagged), decode_rows(planned.selected))
    if sum(map(len, wanted.values())) == sum(each.records or 0 for each in record.outputs):
        return {}
    found = {}
    for number, each in enumerate(record.inputs):
        if each.role is not Role.INPUT or each.records is None:
            continue
        rows = Correspondence.identity(each.records)
        for made, chosen in wanted.items():
            data = tree.part(b"maps/%d-%d" % (made, number))
            if data is not None:
                rows.changed[LinkFile(data).parents(chosen).inputs] = True
        if rows.changed.any():
            files = ArtifactFiles(each.path, each.folder, tuple(tree.input_files(number)))
            found[number] = NewArtifact(files, rows)
    return found
