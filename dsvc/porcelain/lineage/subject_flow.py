"""Rows of a subject followed through all recorded runs, by content: to what is theirs, and what they share.

A row is the subject's where all that it was made of, in each input that the subject's rows went in from, is
the subject's. A row that rows of others went into as well, as of an aggregate, is *mixed*. Where a run
doesn't say which rows became which, its outputs are *unknown*.

Tables of which something was erased before can't be searched. The run that took it out says where the rows
that it kept stood; where no such run knows, what was made of the table is unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from dsvc.lineage.graph_index import RunIndex
from dsvc.lineage.row_fate import drops_of
from dsvc.lineage.row_flow import Reached, RowFlow, maps_rows
from dsvc.lineage.run_summary import ArtifactSummary, RunSummary
from dsvc.model.run_record import RunKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]


class SubjectFlow:
    """What came of some rows.

    Parameters
    ----------
    index : RunIndex
        All runs.
    flow : RowFlow
        Reads their row maps.
    starts : mapping of bytes to Rows or None
        Rows by the digest of their table, None for whole files.
    searched : collection of bytes
        Digests of tables that were searched: a run may add to them but never makes them unknown.
    closed : collection of bytes
        Digests of tables that should have been searched and can't be any more.

    Attributes
    ----------
    own, mixed : dict of bytes to Rows
        Rows by the digest of their table.
    whole : set of bytes
        Files of which all is the subject's.
    unknown : dict of bytes to bytes
        Paths of artifacts by digest of which nobody knows which rows.
    paths : dict of bytes to bytes
        Where a run made an artifact.
    """

    def __init__(
        self,
        index: RunIndex,
        flow: RowFlow,
        starts: Mapping[bytes, Rows | None],
        searched: Collection[bytes] = (),
        closed: Collection[bytes] = (),
    ) -> None:
        self._index = index
        self._flow = flow
        self._known = frozenset([*starts, *searched])
        self._closed = frozenset(closed)
        self.own = {digest: rows for digest, rows in starts.items() if rows is not None}
        self.whole = {digest for digest, rows in starts.items() if rows is None}
        self.mixed: dict[bytes, Rows] = {}
        self.unknown: dict[bytes, bytes] = {}
        self.paths: dict[bytes, bytes] = {}
        runs = sorted(index.runs.values(), key=lambda run: run.order)
        while sum(self._back(run) for run in reversed(runs)):
            pass
        while sum(self._pass(run) for run in runs):
            pass  # until a whole pass over all runs finds nothing new

    def _back(self, run: RunSummary) -> bool:
        """Find rows of a closed table by those that an erasure kept of it; returns whether any is new."""
        if run.kind is not RunKind.REDACT:
            return False
        changed = False
        for number, made in enumerate(run.outputs):
            rows = self.own.get(made.digest)
            for place, read in enumerate(run.inputs):
                if rows is None or read.digest not in self._closed or not maps_rows(run, number, place):
                    continue
                links = self._flow.links(run, number, place)
                if links is not None:
                    changed |= self._add(self.own, read.digest, np.unique(links.parents(rows).inputs))
        return changed

    def _pass(self, run: RunSummary) -> bool:
        """Follow rows through one run; returns whether anything is new."""
        changed = False
        for number, made in enumerate(run.outputs):
            changed |= self._output(run, number, made)
        for number, read in enumerate(run.inputs):
            rows = self.own.get(read.digest)
            for each in () if rows is None else drops_of(self._flow, run, number, Reached(rows, True)):
                if each.survivor is not None:
                    changed |= self._add(self.own, read.digest, np.array([each.survivor], np.int64))
        return changed

    def _output(self, run: RunSummary, number: int, made: ArtifactSummary) -> bool:
        none = np.zeros(0, np.int64)
        own, mixed, unknown = none, none, False
        for place, read in enumerate(run.inputs):
            if self._is_hidden(read):
                unknown = True
                continue
            ours = self.own.get(read.digest, none)
            shared = self.mixed.get(read.digest, none)
            if not (len(ours) or len(shared)):
                continue
            if not maps_rows(run, number, place):
                unknown = True
                continue
            links = self._flow.links(run, number, place)
            if links is None:
                continue
            children = np.unique(links.children(np.union1d(ours, shared)).outputs)
            back = links.parents(children)
            foreign = np.unique(back.outputs[~np.isin(back.inputs, ours)])
            mixed = np.union1d(mixed, foreign)
            own = np.union1d(own, np.setdiff1d(children, foreign))
        own = np.setdiff1d(own, mixed)
        changed = self._add(self.own, made.digest, own)
        known = self.own.get(made.digest, none)
        changed |= self._add(self.mixed, made.digest, np.setdiff1d(mixed, known))
        if unknown and made.digest not in self._known and made.digest not in self.unknown:
            self.unknown[made.digest] = made.path
            changed = True
        if changed:
            self.paths.setdefault(made.digest, made.path)
        return changed

    def _is_hidden(self, read: ArtifactSummary) -> bool:
        """Whether something of the subject went in that has no rows to follow."""
        if read.digest in self.whole or read.digest in self.unknown:
            return True
        if read.digest in self._closed and read.digest not in self.own:
            return True
        if not read.folder:
            return False
        held = self._index.listing(read).by_digest
        return any(d in self.own or d in self.whole or d in self.unknown for d in held)

    @staticmethod
    def _add(rows: dict[bytes, Rows], digest: bytes, new: Rows) -> bool:
        known = rows.get(digest)
        if not len(new) or (known is not None and np.isin(new, known).all()):
            return False
        rows[digest] = new if known is None else np.union1d(known, new)
        return True
