"""Scripts of commands whose writes are recorded, and what must hold for each state that a crash may leave."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dsvc.model.errors import DsvcError
from dsvc.testing.crash_states import Disk, Order, Tree, bench, fingerprint, image
from dsvc.testing.faults import BrokenPromiseError, tried
from dsvc.testing.image import Image
from dsvc.testing.write_log import Step, begin, recorded
from tests.crash_judge import REFUSALS, Judge, Seen, Verb

Edit = Callable[[str], None]
"""What a user does before a command."""


@dataclass(frozen=True)
class Recording:
    """A script that ran: the steps up to its last command, those of that, and what was seen on both sides."""

    before: Sequence[Step]
    last: Sequence[Step]
    seen: Sequence[Seen]
    refused: bool
    ran: Verb


def record(
    begin_with: Image | None,
    folder: Path,
    script: Sequence[tuple[Edit | None, Verb]],
    look: Callable[[str], Any] = Seen.of,
) -> Recording:
    """Run a script in a process of its own, as its commands would, and record its writes.

    `begin_with` is what is there before, None for nothing. Each command comes after an edit by the user.
    """
    root, copy = str(folder / "recorded"), str(folder / "seen")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            with open(writer, "wb") as pipe:
                pickle.dump(_play(begin_with, root, copy, script, look), pipe)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, "the script can't be recorded"
    shutil.rmtree(root)
    steps, start, seen, refused = pickle.loads(data)
    return Recording(steps[:start], steps[start:], seen, refused, script[-1][1])


def _play(
    begin_with: Image | None,
    root: str,
    copy: str,
    script: Sequence[tuple[Edit | None, Verb]],
    look: Callable[[str], Any],
) -> tuple[list[Step], int, list[Seen], bool]:
    if begin_with is None:
        os.mkdir(root)
    else:
        begin_with.lay_out(root)
    log = begin(root)
    seen = []
    start, refused = 0, False
    for edit, command in script:
        if edit is not None:
            edit(root)
        log.settle()
        seen.append(_on_copy(root, copy, look))
        start = len(log.steps)
        with recorded(log):
            refused = False
            try:
                command(root)
            except DsvcError as error:
                refused = True
                if error.exit_code not in REFUSALS:
                    raise
    seen.append(_on_copy(root, copy, look))
    return log.steps, start, seen, refused


def _on_copy(root: str, copy: str, look: Callable[[str], Any]) -> Any:
    """What is seen on a copy: to look leaves caches."""
    Image(root).lay_out(copy)
    try:
        return look(copy)
    finally:
        shutil.rmtree(copy)


class Crashes:
    """Tries the states that crashes in the last command of a recorded script may leave.

    `besides` and `also` as of `Judge`.
    """

    def __init__(
        self,
        recording: Recording,
        folder: Path,
        *,
        order: Order,
        seed: str,
        besides: int = 1,
        also: Callable[[str, bool], None] | None = None,
    ) -> None:
        self._recording = recording
        self._root = str(folder / "state")
        self._order = order
        self._rng = random.Random(seed)
        self._judge = partial(Judge, recording.seen, recording.ran, seed=seed, besides=besides, also=also)

    def states(self, cap: int, *, flushes: bool = True) -> list[tuple[Tree, bool]]:
        """About `cap` states, none twice, over all moments; each with whether the command had returned."""
        disk = Disk(self._order, flushes=flushes)
        for step in self._recording.before:
            disk.take(step)
        found: dict[tuple[int, bool], tuple[Tree, bool]] = {}
        steps = self._recording.last
        share = cap * 1.5 / (len(steps) + 1)
        for number in range(len(steps) + 1):
            returned = number == len(steps)
            limit = max(4, cap // 5) if returned else int(share) + (self._rng.random() < share % 1)
            for tree in disk.states(self._rng, limit):
                found.setdefault((fingerprint(tree), returned), (tree, returned))
            if not returned:
                disk.take(steps[number])
        states = list(found.values())
        rest = [each for each in states if not each[1]]
        ends = [each for each in states if each[1]]
        return ends + self._rng.sample(rest, max(0, min(cap - len(ends), len(rest))))

    def run(self, cap: int, *, flushes: bool = True) -> int:
        """Check about `cap` states; returns how many."""
        chosen, judge = self.states(cap, flushes=flushes), self._judge()
        place = bench(self._root)
        for tree, returned in chosen:
            place.lay_out(image(tree))
            try:
                judge.look(self._root, returned)
            except BrokenPromiseError as error:
                error.add_note(f"returned: {returned}, state: {self._differences(tree)}")
                raise
            tried("disk states")
        place.close()
        return len(chosen)

    def _differences(self, tree: Tree) -> list[str]:
        """What a state has other than the folder at the end, for whoever looks for the cause."""
        disk = Disk(self._order)
        for step in (*self._recording.before, *self._recording.last):
            disk.take(step)
        end = next(disk.states(self._rng))
        paths = sorted(
            p for p in tree.keys() | end.keys() if tree.get(p) != end.get(p) or (p in tree) != (p in end)
        )
        return [f"{p}: {tree.get(p, 'absent')!r:.200} / {end.get(p, 'absent')!r:.200}" for p in paths]
