"""Everything that some files descend from: back through runs and copies, to sources or to where it ends."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from operator import attrgetter

from dsvc.lineage.coverage import Origin, Origins, Uncovered, holds_bytes
from dsvc.lineage.graph import ArtifactNode, artifact_nodes
from dsvc.model.manifest import Entry
from dsvc.model.run_record import Role, RunId

Step = ArtifactNode | RunId


class Closure:
    """What some files descend from.

    Parameters
    ----------
    origins : Origins
        Where each file comes from.
    entries : iterable of Entry
        The files; of those that nothing covers only data counts.

    Attributes
    ----------
    artifacts : dict of ArtifactNode to Origin
        The files and what they descend from.
    roots : dict of ArtifactNode to None
        Those of the files that count.
    entries : list of Entry
        The same as entries, as they came.
    runs : dict of RunId to None
        Runs that made them.
    uncovered : list of Uncovered
        Where the way back ends without a source.
    order : list of ArtifactNode or RunId
        All of it, each after what it comes from.
    tangled : bool
        Whether anything comes from itself, be it by a detour: then `order` is not always right.
    circular : tuple of ArtifactNode
        Files that come from nothing but themselves.
    """

    def __init__(self, origins: Origins, entries: Iterable[Entry]) -> None:
        self._origins = origins
        self.artifacts: dict[ArtifactNode, Origin] = {}
        self.roots: dict[ArtifactNode, None] = {}
        self.entries: list[Entry] = []
        self.runs: dict[RunId, None] = {}
        self.uncovered: list[Uncovered] = []
        self._covered: dict[bytes, tuple[ArtifactNode, ...]] = {}
        self._walk(entries)
        self.order: list[Step] = []
        self.parents: dict[Step, tuple[Step, ...]] = {}
        self._used: dict[ArtifactNode, tuple[str, ...]] = {}
        self.tangled = False
        self.circular = self._settle()

    def sources_of(self, node: ArtifactNode) -> tuple[str, ...]:
        """Sources that a file comes from directly: not those that a run's product needs no more."""
        return self._used.get(node, ())

    @cached_property
    def reached(self) -> frozenset[str]:
        """Sources that any file comes from directly."""
        return frozenset(name for names in set(self._used.values()) for name in names)

    # Back

    def _walk(self, entries: Iterable[Entry]) -> None:
        pending: list[RunId] = []
        artifacts, roots, at_path = self.artifacts, self.roots, self._origins.at_path
        late: list[tuple[ArtifactNode, Entry]] = []
        listed = [entry for entry in entries if holds_bytes(entry)]
        nodes = artifact_nodes((entry.path for entry in listed), (entry.digest for entry in listed))
        for node, entry in zip(nodes, listed, strict=True):
            if node not in artifacts:
                origin = at_path(node, entry.rows)
                if origin is None:
                    late.append((node, entry))
                    continue
                if origin.runs or origin.lack is not None:
                    if not self._take(node, origin, entry.rows, entry.size, None, pending):
                        continue
                else:
                    artifacts[node] = origin
            roots[node] = None
            self.entries.append(entry)
        # Looking for equal files elsewhere reads all that sources attest; by now most of it was read anyway.
        for node, entry in late:
            if self._reach(node, entry.rows, entry.size, None, pending):
                roots[node] = None
                self.entries.append(entry)
        if late:
            self.entries.sort(key=attrgetter("path"))
            self.roots = dict(sorted(roots.items()))
        while pending:
            user = pending.pop()
            for each, role, records, size in self._origins.runs.reads(user):
                if each not in artifacts:
                    self._reach(each, records, size, (user, role), pending)

    def _reach(
        self,
        node: ArtifactNode,
        records: int | None,
        size: int,
        user: tuple[RunId, Role] | None,
        pending: list[RunId],
    ) -> bool:
        """Take in a file and what it is a copy of; returns whether it counts."""
        if node in self.artifacts:
            return True
        origin = self._origins.of(node, records, size)
        return self._take(node, origin, records, size, user, pending)

    def _take(
        self,
        node: ArtifactNode,
        origin: Origin,
        records: int | None,
        size: int,
        user: tuple[RunId, Role] | None,
        pending: list[RunId],
    ) -> bool:
        """Take in a file with where it comes from.

        What a run read for its rows is data whatever it is called.
        """
        if origin.copies:
            origin = self._inherited(node, origin, records, size)
        if origin.lack is not None:
            is_input = user is not None and user[1] is Role.INPUT
            if not (is_input or self._origins.is_data(node.path)):
                return False
            name = None if user is None else self._origins.runs.run(user[0]).name
            self.uncovered.append(origin.lack._replace(user=name))
        self.artifacts[node] = origin
        for run in origin.runs:
            if run not in self.runs:
                self.runs[run] = None
                pending.append(run)
        for copy in origin.copies:
            self._reach(copy, records, size, user, pending)
        return True

    def _inherited(self, node: ArtifactNode, origin: Origin, records: int | None, size: int) -> Origin:
        """Keep the copies that are covered at their own path."""
        if node.digest not in self._covered:
            # Of copies that come from the same one is enough: there may be thousands.
            kept: dict[tuple[object, object], ArtifactNode] = {}
            for copy in origin.copies:
                own = self._origins.of(copy, records, size)
                if own.lack is None and not own.copies:
                    kept.setdefault((own.runs, own.sources), copy)
            self._covered[node.digest] = tuple(kept.values())
        copies = self._covered[node.digest]
        return origin._replace(copies=copies) if copies else self._origins.of(node, records, 0)

    # Forth

    def _settle(self) -> tuple[ArtifactNode, ...]:
        """Put everything in order, each after what it comes from; returns what comes only from itself.

        Where a run made a file, the sources that speak for it too don't count, unless the run had no input,
        or what it read came from the file itself: sorting a table up, down and up again.
        """
        waits: dict[Step, int] = {}
        children: dict[Step, list[Step]] = {}
        settled: set[Step] = set(self._leaves())
        ready: list[Step] = []

        def link(step: Step, parents: tuple[Step, ...]) -> None:
            self.parents[step] = parents
            count = 0
            for parent in parents:
                if parent not in settled:
                    children.setdefault(parent, []).append(step)
                    count += 1
            waits[step] = count
            if not count:
                ready.append(step)

        for run in self.runs:
            read = dict.fromkeys(each.node for each in self._origins.runs.reads(run))
            link(run, tuple(node for node in read if node in self.artifacts))
        fed = {run for run in self.runs if self.parents[run]}
        for node, origin in self.artifacts.items():
            if origin.runs or origin.copies:
                link(node, (*origin.runs, *origin.copies))
                if not origin.runs or not fed.issuperset(origin.runs):
                    self._used[node] = origin.sources
        settled.update(ready)
        while True:
            while ready:
                step = ready.pop()
                self.order.append(step)
                for child in children.get(step, ()):
                    waits[child] -= 1
                    if not waits[child] and child not in settled:
                        settled.add(child)
                        ready.append(child)
            # What waits for itself: one of the runs that made a file is enough, else a source is.
            rest = [node for node in self.artifacts if node not in settled]
            self.tangled = self.tangled or bool(rest)
            again = [node for node in rest if waits[node] < len(self.parents[node])]
            if not again:
                again = [node for node in rest if self.artifacts[node].sources]
                self._used.update((node, self.artifacts[node].sources) for node in again)
            if not again:
                return self._circular(rest)
            settled.update(again)
            ready.extend(again)

    def _leaves(self) -> Iterable[ArtifactNode]:
        """Put first what comes from sources and from nothing else, most files: nobody waits for these."""
        leaves = {
            node: origin.sources
            for node, origin in self.artifacts.items()
            if not origin.runs and not origin.copies
        }
        self.order.extend(leaves)
        self.parents.update(dict.fromkeys(leaves, ()))
        self._used.update(leaves)
        return leaves

    def _circular(self, rest: list[ArtifactNode]) -> tuple[ArtifactNode, ...]:
        """Of what is not settled, leave out what only comes from it."""
        left = set(rest)
        while True:
            needed: set[Step] = {
                parent
                for node in left
                for run in self.artifacts[node].runs
                for parent in self.parents.get(run, ())
            } | {copy for node in left for copy in self.artifacts[node].copies}
            kept = left & needed
            if kept == left:
                return tuple(sorted(left))
            left = {node for node in left if node in kept}

    def downstream(self, sources: Iterable[str]) -> dict[str, set[Step]]:
        """Everything that came from each of some sources."""
        wanted = list(sources)
        if not wanted:
            return {}
        children: dict[Step, list[Step]] = {}
        for step, parents in self.parents.items():
            for parent in parents:
                children.setdefault(parent, []).append(step)
        found: dict[str, set[Step]] = {}
        for source in wanted:
            pending: list[Step] = [node for node, used in self._used.items() if source in used]
            seen = set(pending)
            while pending:
                for child in children.get(pending.pop(), ()):
                    if child not in seen:
                        seen.add(child)
                        pending.append(child)
            found[source] = seen
        return found
