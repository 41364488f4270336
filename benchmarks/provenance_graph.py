"""Many artifacts of few sources: `python -m benchmarks.provenance_graph TREE ARTIFACTS ROWS`.

Tables in the files of `data` that a run each has made of one or two others, all of them in part from files
named `a…`, some in part from files named `b…`. The runs are put into the store directly, with their row maps,
as `dsvc run` would; then everything is committed. What is printed is how many rows come from files `a…`.
"""

import json
import random
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dsvc.lineage.artifacts import file_artifact
from dsvc.lineage.link_file import encode_links
from dsvc.lineage.links import ordered
from dsvc.lineage.row_account import RowAccount, encode_account
from dsvc.lineage.run_tree import Files, store_run
from dsvc.model.manifest import Entry
from dsvc.model.run_record import (
    Agent,
    Capture,
    Code,
    Environment,
    Fates,
    Input,
    Output,
    Run,
    RunKind,
)
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.pending_runs import add_pending

ROOTS = 10
RECENT = 100
AT = "2026-01-01T00:00:00.000Z"


class Made(NamedTuple):
    """A table: for each row whether it comes from `a`, and from which rows of which parents it was made."""

    name: str
    from_a: np.ndarray
    parents: Sequence["Made"] = ()
    taken: Sequence[np.ndarray] = ()

    def table(self) -> pa.Table:
        """Its rows; only this benchmark knows what is in the first column."""
        number = np.arange(len(self.from_a))
        values = np.random.default_rng(zlib.crc32(self.name.encode())).integers(0, 1 << 16, len(number))
        return pa.table({"from_a": self.from_a, "row": number, "value": values})


def plan(artifacts: int, rows: int) -> list[Made]:
    """Roots, then tables that are made of those before them."""
    rng, choice = np.random.default_rng(5), random.Random("graph")
    of_a = [Made(f"a{number}.parquet", np.ones(rows, bool)) for number in range(ROOTS)]
    of_b = [Made(f"b{number}.parquet", np.zeros(rows, bool)) for number in range(ROOTS)]
    for number in range(artifacts):
        parents = [choice.choice(of_a[-RECENT:])]
        if number % 3 == 1:
            parents = choice.sample(of_a[-RECENT:], 2)
        elif number % 40 == 0:
            parents.append(choice.choice(of_b))
        share = rows // len(parents)
        taken = [rng.permutation(len(parent.from_a))[:share] for parent in parents]
        from_a = np.concatenate([p.from_a[rows_] for p, rows_ in zip(parents, taken, strict=True)])
        of_a.append(Made(f"t{number}.parquet", from_a, tuple(parents), tuple(taken)))
    return [*of_b, *of_a]


def _account(rows: int, taken: np.ndarray) -> RowAccount:
    dropped = np.setdiff1d(np.arange(rows), taken)
    fates = Fates(kept=len(taken), dropped=len(dropped))
    none = np.zeros(0, np.int64)
    unknown = np.full(len(dropped), -1)
    return RowAccount(fates, none, dropped, ("sampled",), np.zeros(len(dropped), np.int64), unknown)


def _store(repo: Repository, made: Made, entries: dict[str, Entry]) -> None:
    """Put the run that made a table into the store."""
    parts: dict[bytes, bytes] = {}
    inputs: list[Input] = []
    start = 0
    for number, (parent, taken) in enumerate(zip(made.parents, made.taken, strict=True)):
        outputs = np.arange(start, start + len(taken))
        start += len(taken)
        account = _account(len(parent.from_a), taken)
        parts[b"maps/0-%d" % number] = encode_links(ordered(outputs, taken))
        parts[b"rows/%d" % number] = encode_account(account)
        artifact = file_artifact(entries[parent.name])
        inputs.append(
            Input(
                path=artifact.path,
                digest=artifact.digest,
                size=artifact.size,
                records=artifact.records,
                fates=account.fates,
            )
        )
    artifact = file_artifact(entries[made.name])
    output = Output(
        path=artifact.path,
        digest=artifact.digest,
        size=artifact.size,
        records=artifact.records,
        capture=Capture.MAP,
    )
    run = Run(
        name=f"make {made.name}",
        kind=RunKind.MIX,
        inputs=tuple(inputs),
        outputs=(output,),
        code=Code(),
        environment=Environment(),
        agent=Agent("Bench", "bench@example.org"),
        started_at=AT,
        ended_at=AT,
        manual="sampled",
        capture=Capture.MAP,
    )
    files = [Files([entries[parent.name]], folder=False) for parent in made.parents]
    stored = store_run(
        repo.store, run, inputs=files, outputs=[Files([entries[made.name]], folder=False)], parts=parts
    )
    add_pending(repo.layout, stored, durable=False)


def main() -> None:
    """Make the files, commit the runs, print what is to be expected."""
    tree = Path(sys.argv[1])
    made = plan(int(sys.argv[2]), int(sys.argv[3]))
    (tree / "data").mkdir()
    for each in made:
        pq.write_table(each.table(), tree / "data" / each.name)
    repo = Repository.open(str(tree))
    repo.add(all=True)
    manifest = repo.manifest(repo.staged().root)
    entries = {entry.path.rpartition(b"/")[2].decode(): entry for entry in manifest.entries(b"data")}
    with repo.changing():
        for each in made:
            if each.parents:
                _store(repo, each, entries)
        repo.store.publish()
    repo.commit("tables")
    derived = [each for each in made if each.parents]
    counts = {
        "artifacts": len(derived),
        "all": sum(len(each.from_a) for each in derived),
        "rows": int(sum(each.from_a.sum() for each in derived)),
        "roots": sum(len(each.from_a) for each in made if each.name.startswith("a")),
    }
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
