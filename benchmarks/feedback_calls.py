"""Repairs in a process of their own, timed from within; each prints JSON.

`apply TREE REPAIR`: seconds of each step, of the proof, and of all of it.
`prove TREE REPAIR CALLS`: what the proof of an applied repair says, done again, and seconds of each call; the
first also reads what no call has read before.
"""

import json
import os
import sys
import time

from dsvc.model.ids import CommitId
from dsvc.model.repair_proof import Proof
from dsvc.porcelain.records.repair_chain import repair_head
from dsvc.porcelain.repair import repair_apply
from dsvc.porcelain.repair.repair_carrying import StepDone
from dsvc.porcelain.repair.repair_plan import plan_edits
from dsvc.porcelain.repair.repair_proof import prove
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.runs.rerun import Carrier


def apply(tree: str, repair: str) -> dict[str, float]:
    """Apply a repair, and time its parts."""
    taken: dict[str, float] = {}

    def timed(*arguments: object, **named: object) -> Proof:
        started = time.perf_counter()
        proof: Proof = prove(*arguments, **named)  # type: ignore[arg-type]
        taken["proof"] = time.perf_counter() - started
        return proof

    def step_done(done: StepDone) -> None:
        taken[done.step.name] = time.perf_counter() - begun - sum(taken.values())

    repair_apply.prove = timed
    repo = Repository.open(tree)
    begun = time.perf_counter()
    with open(os.devnull, "wb") as nowhere:
        how = Carrier(environ=dict(os.environ), output=nowhere.fileno())
        repair_apply.apply_repair(repo, repair, how, on_step=step_done)
    taken["all"] = time.perf_counter() - begun
    return taken


def prove_again(tree: str, repair: str, calls: str) -> dict[str, object]:
    """Prove an applied repair again."""
    repo = Repository.open(tree)
    state = repair_head(repo, repair)
    assert state.commit is not None
    before, after = (
        repo.history.read_commit(CommitId(commit)).manifest for commit in (state.plan.base, state.commit)
    )
    edits, taken = plan_edits(repo, state.plan), []
    for _ in range(int(calls)):
        started = time.perf_counter()
        proof = prove(repo, state.plan, before, after, state.steps, edits=edits)
        taken.append(time.perf_counter() - started)
    tables = [each.path.decode() for each in proof.artifacts]
    return {"same": proof == state.proof, "holds": proof.holds, "tables": tables, "seconds": taken}


if __name__ == "__main__":
    print(json.dumps({"apply": apply, "prove": prove_again}[sys.argv[1]](*sys.argv[2:])))  # type: ignore[operator]
