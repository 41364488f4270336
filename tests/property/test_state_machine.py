"""All verbs in any order, with crashes in between, held against a model in plain dictionaries.

Another seed: ``DSVC_SEED=8 make test ARGS='-k all_verbs'``. The short run takes 20 seconds of one core,
the night's 10,000 runs of 100 steps about three hours.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from dsvc.fs.failpoints import Action
from dsvc.testing.faults import Fault
from dsvc.testing.image import Image
from tests.machine_files import HEADS, edited, start
from tests.machine_provenance import Provenance
from tests.machine_world import World
from tests.plain_repository import Commit, History, State, Tree
from tests.porcelain.working import Work

FAULTS = [Fault(action=each) for each in (Action.KILL, Action.TORN_WRITE, Action.EIO)]


class Beginning:
    """A repository with two branches that went apart, laid out for every run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._work = Work(folder / "数据集")
        first, ours, theirs = start(), start(), start()
        for tree, edit in ((ours, 0), (theirs, 1)):
            for path in (b"a.txt", *[p for p in tree if p.endswith((b".csv", b".parquet"))]):
                tree[path] = ("file", edited(path, tree[path], edit, 2, 1))
        self.history, self.refs = History(), {}
        self._commit(first, "main", ())
        self._work.branch("topic")
        self._commit(theirs, "topic", (self.refs[HEADS + "main"],))
        self._work.repo.checkout("main")
        self._commit(ours, "main", (self.refs[HEADS + "main"],))
        self.tree = ours
        self._image = Image(str(folder / "数据集"))
        self._count = 0

    def _commit(self, tree: Tree, branch: str, parents: tuple[str, ...]) -> None:
        self.refs[HEADS + branch] = id_ = str(self._work.commit("开始", tree))
        self.history.commits[id_] = Commit(parents, tree)

    def world(self) -> World:
        """Lay it out."""
        self._count += 1
        place = self.folder / f"{self._count}"
        self._image.lay_out(str(place))
        known = History()
        known.commits.update(self.history.commits)
        state = State(refs=dict(self.refs), staged=dict(self.tree), tree=dict(self.tree))
        return World(place, known, state)


class Machine(Provenance):
    """All rules together, crashes and the checks."""

    beginning: ClassVar[Beginning]

    def __init__(self) -> None:
        super().__init__()
        self.world = self.beginning.world()

    @rule(fault=st.sampled_from(FAULTS), at=st.integers(1, 25))
    def crash_next(self, fault: Fault, at: int) -> None:
        self.world.fault = fault, at

    @rule(repair=st.booleans())
    def fsck(self, repair: bool) -> None:
        found = self.world.repo.fsck(read_data=True, repair=repair)
        if not found.ok:
            raise self.world.broken(f"fsck finds {found.defects}")

    @invariant()
    def told(self) -> None:
        """Status says what differs between HEAD, the staged state and the tree."""
        self.world.check_status()

    def teardown(self) -> None:
        if not self.world.is_broken:
            self.world.check_end()
        self.world.repo.backend.forget()
        shutil.rmtree(self.world.work.folder)


@pytest.mark.parametrize(
    ("examples", "steps"),
    [(40, 50), pytest.param(10_000, 100, marks=pytest.mark.soak)],
    ids=["short", "night"],
)
def test_all_verbs_do_what_the_model_says(fast_path: Path, examples: int, steps: int) -> None:
    number = int(os.environ.get("DSVC_SEED") or 7)
    print(f"DSVC_SEED={number}")
    Machine.beginning = Beginning(fast_path)
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    run_state_machine_as_test(seed(number)(Machine), settings=chosen)
