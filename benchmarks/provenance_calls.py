"""Questions of lineage in a process that has asked the same before; each prints JSON.

`trace TREE TARGET CALLS`, `impact TREE TARGET CALLS`: seconds of each call, after one that is not counted.
`rows TREE TARGET`: the numbers of the rows that something reached, of each artifact.
"""

import json
import sys
import time
from collections.abc import Callable

from dsvc.lineage.impact import impact as find_impact
from dsvc.lineage.row_flow import RowFlow
from dsvc.porcelain.lineage.lineage_impact import add_copies, with_folders
from dsvc.porcelain.lineage.lineage_queries import find_starts
from dsvc.porcelain.lineage.lineage_target import parse_lineage_target
from dsvc.porcelain.repository import Repository


def _timed(call: Callable[[], object], calls: str) -> list[float]:
    taken: list[float] = []
    for _ in range(int(calls) + 1):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return taken[1:]


def trace(tree: str, target: str, calls: str) -> list[float]:
    """Time the way back."""
    repo = Repository.open(tree)
    return _timed(lambda: repo.trace(target), calls)


def impact(tree: str, target: str, calls: str) -> list[float]:
    """Time the way forth."""
    repo = Repository.open(tree)
    return _timed(lambda: repo.impact(target), calls)


def rows(tree: str, target: str) -> dict[str, list[int]]:
    """Which rows `impact` counts, asked in the way in which it counts them."""
    repo = Repository.open(tree)
    starts = find_starts(repo, parse_lineage_target(target))
    builder = starts.scope.builder
    builder.resolve(list(builder.graph.nodes()))
    nodes = with_folders(builder, starts.nodes)
    add_copies(builder, starts.scope.files(), nodes)
    found = find_impact(builder, RowFlow(repo.store, builder), nodes)
    return {
        node.path.decode(): list(range(builder.facts[node].records or 0))
        if reached.rows is None
        else reached.rows.tolist()
        for node, reached in found.reached.items()
    }


if __name__ == "__main__":
    print(json.dumps({"trace": trace, "impact": impact, "rows": rows}[sys.argv[1]](*sys.argv[2:])))
