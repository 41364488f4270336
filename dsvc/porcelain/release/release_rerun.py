"""release verify --rerun: some runs of a release done again, once somebody said yes to their commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from blake3 import blake3

from dsvc.lineage.run_tree import RunTree
from dsvc.lineage.validation import Outcome
from dsvc.model.errors import DsvcError
from dsvc.model.run_record import RunId
from dsvc.porcelain.records.release_chain import created_release
from dsvc.porcelain.release.release_verify import Finding
from dsvc.porcelain.runs.rerun import Carrier, NotRepeatableError, check_rerun, repeatable
from dsvc.porcelain.runs.run import CommandFailedError
from dsvc.porcelain.state.workspace import Workspace
from dsvc.release.facts import ReleaseFacts

_SEED = b"dsvc release rerun 1\0"


class PlannedRerun(NamedTuple):
    """A run that may be done again: its id, its name, the words of its command as they were recorded."""

    run: RunId
    name: str
    command: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The command as it is shown to whoever is asked."""
        return self.command[0] if len(self.command) == 1 else shlex.join(self.command)


def planned_reruns(repo: Workspace, name: str, count: int) -> list[PlannedRerun]:
    """Draw runs of a release that have a command; the files of the release decide which, nobody else.

    Nothing is run. Of fewer than were asked for all are taken.

    Raises
    ------
    NoSuchReleaseError, ReleaseStateError, MissingDataError, CorruptDataError, MalformedInputError
        If there is no such release, or it can't be read.
    """
    _, facts = created_release(repo, name)
    found: list[PlannedRerun] = []
    for id_ in _drawn(facts):
        if len(found) == count:
            break
        tree = RunTree(repo.store, id_)
        try:
            found.append(PlannedRerun(id_, tree.run.name, repeatable(tree)))
        except NotRepeatableError:
            continue
    return found


def _drawn(facts: ReleaseFacts) -> list[RunId]:
    """All runs, in an order that follows from the content: nobody can draw again until they like it."""
    seed = _SEED + bytes.fromhex(facts.manifest)
    ids = [RunId.parse(run.id) for run in facts.lineage.runs]
    return sorted(ids, key=lambda id_: blake3(seed + bytes(id_)).digest())


def rerun_drawn(repo: Workspace, plan: Sequence[PlannedRerun], how: Carrier) -> Iterator[Finding]:
    """Do runs again in scratch folders, and yield what comes out in another way.

    The caller has shown the commands, and somebody has agreed to them.
    """
    for each in plan:
        tree = RunTree(repo.store, each.run)
        what = f"run {each.run.short()} ({each.name})"
        try:
            found = check_rerun(repo, tree, how)
        except CommandFailedError as error:
            yield Finding("rerun", f"{what}: {error.message}")
            continue
        except DsvcError as error:
            yield Finding("rerun", f"{what}: {error.message}", Outcome.INCOMPLETE)
            continue
        if not found.identical:
            names = ", ".join(one.path.decode("utf-8", "replace") for one in found.differences[:5])
            yield Finding("rerun", f"{what} makes something else now: {names}")
