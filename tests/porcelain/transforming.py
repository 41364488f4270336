"""Two tables that the tests of transform work on, and what is recorded of their rows."""

from __future__ import annotations

import pyarrow as pa

from dsvc.lineage.link_file import LinkFile
from dsvc.model.run_record import Capture
from dsvc.porcelain.runs.run_storage import RunResult
from tests.porcelain.working import Work

LEFT = "左.csv"
RIGHT = "right.parquet"
WORDS = ["a b", "c", "", "d e f", "g", "a b", "h i", "", "c", "j"]
ROWS = [{"rid": row, "k": row % 4, "v": row % 3, "w": word} for row, word in enumerate(WORDS)]
OTHERS = [{"rid": 1000 + row, "k": row // 2 + 1, "z": row} for row in range(6)]


def truth(table: pa.Table) -> set[tuple[int, str, int]]:
    """Output rows with their parents, by the hidden column."""
    found = set()
    for name in [name for name in table.column_names if "rid" in name]:
        for row, value in enumerate(table.column(name).to_pylist()):
            for each in value if isinstance(value, list) else [value]:
                if each is not None and each == each:
                    found.add((row, RIGHT if each >= 1000 else LEFT, int(each) % 1000))
    return found


def recorded(
    work: Work, result: RunResult, output: str = "out.parquet", capture: Capture = Capture.CARRIED
) -> set[tuple[int, str, int]]:
    tree = work.repo.load_run(result.id.hex())
    paths = [each.path for each in tree.run.outputs]
    number = paths.index(output.encode())
    assert tree.run.outputs[number].capture is capture
    found = set()
    for place, each in enumerate(tree.run.inputs):
        data = tree.part(b"maps/%d-%d" % (number, place))
        pairs = (
            [] if data is None else list(zip(*(part.tolist() for part in LinkFile(data).all()), strict=True))
        )
        found |= {(row, each.path.decode(), parent) for row, parent in pairs}
    return found
