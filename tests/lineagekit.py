"""Lineage made by hand: runs with links that the test knows, sources, and commits that take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import msgspec
import numpy as np

from dsvc.lineage.artifacts import file_artifact, folder_artifact, relative
from dsvc.lineage.link_file import encode_links
from dsvc.lineage.links import ordered
from dsvc.lineage.row_account import RowAccount, encode_account
from dsvc.lineage.row_set import encode_rows
from dsvc.lineage.run_tree import Files, store_run
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import MODE_FILE, Entry, tree_entry
from dsvc.model.run_record import (
    Agent,
    Capture,
    Code,
    Environment,
    Fates,
    Input,
    Output,
    Role,
    Run,
    RunId,
    RunKind,
)
from dsvc.model.source_record import (
    Acquisition,
    Coverage,
    LegalBasis,
    SourceRecord,
    Status,
    encode_source,
)
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.pending_runs import add_pending
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.content import NO_FACTS
from dsvc.store.ingest import store_bytes
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest
from tests.porcelain.working import Work

Pairs = Sequence[tuple[int, int]]
CODE = Code(commit="0" * 40, digest=b"c" * 32)
ENVIRONMENT = Environment(dsvc="0", python="3.11", platform="Linux")


@dataclass(frozen=True)
class Folder:
    """Files of a folder, as they are named in runs."""

    path: bytes
    entries: tuple[Entry, ...]


Thing = Entry | Folder


@dataclass
class Made:
    """A run that was stored: its id, and which of its rows came from which."""

    id: RunId
    inputs: list[Thing]
    outputs: list[Thing]
    links: dict[tuple[int, int], set[tuple[int, int]]] = field(default_factory=dict)


def csv(rows: Sequence[Sequence[object]], columns: str = "id,v") -> bytes:
    return "".join(",".join(map(str, row)) + "\n" for row in [columns.split(","), *rows]).encode()


def numbered(count: int, text: object = "x") -> bytes:
    """A table of so many rows, told from others by a text."""
    return csv([(number, text) for number in range(count)])


class Lab:
    """A repository in which runs and sources are recorded by hand."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._clock = 0

    @property
    def repo(self) -> Repository:
        return self.work.repo

    def put(self, items: Mapping[bytes, bytes | None]) -> dict[bytes, Entry]:
        """Write files and stage them; returns their entries."""
        self.work.write(items)
        self.repo.add(all=True)
        staged = self.repo.manifest_of("STAGED")
        found = {path: staged.get(path) for path, content in items.items() if content is not None}
        return {path: entry for path, entry in found.items() if entry is not None}

    def folder(self, path: bytes, names: Sequence[bytes] | None = None) -> Folder:
        """Files of a folder as they are staged; only those named, if any are."""
        entries = self.repo.manifest_of("STAGED").entries(path)
        chosen = [e for e in entries if names is None or e.path.rpartition(b"/")[2] in names]
        return Folder(path, tuple(chosen))

    def run(
        self,
        name: str,
        inputs: Sequence[Thing],
        outputs: Sequence[Thing],
        links: Mapping[tuple[int, int], Pairs] | None = None,
        **more: Any,
    ) -> Made:
        """Record a run that waits for a commit, as `make_run` does."""
        self._clock += 1
        made = make_run(self.repo.store, name, inputs, outputs, links, second=self._clock, **more)
        self.repo.store.publish()
        add_pending(self.repo.layout, made.id, durable=False)
        return made

    def source(self, id_: str, things: Sequence[Thing], **more: Any) -> None:
        """Record a source as `make_source` does; again: another operation of it."""
        root = make_source(self.repo.store, id_, things, **more)
        self.repo.store.publish()
        files, size = Manifest(self.repo.store, root, trees=True).totals()
        ref = f"refs/dsvc/sources/{id_}"
        before = self.repo.history.refs.get(ref)
        who = self.repo.signature()
        prepared = self.repo.history.commit(
            parents=[] if before is None else [before],
            manifest=root,
            files=files,
            bytes=size,
            message=f"source {id_}",
            author=who,
            committer=who,
            branch=ref,
            expected=before,
        )
        self.repo.record("source add", changes=prepared.changes, objects=prepared.objects)

    def commit(self, message: str = "data") -> CommitId:
        return self.work.commit(message)


def _parts(
    pairs: Mapping[tuple[int, int], set[tuple[int, int]]], accounts: Mapping[int, RowAccount]
) -> dict[bytes, bytes]:
    """Row maps and accounts as a run holds them."""
    parts = {b"rows/%d" % number: encode_account(account) for number, account in accounts.items()}
    for place, each in pairs.items():
        outs, ins = np.array(sorted(each), np.int64).reshape(-1, 2).T
        parts[b"maps/%d-%d" % place] = encode_links(ordered(outs, ins))
    return parts


def make_run(
    store: ChunkStore,
    name: str,
    inputs: Sequence[Thing],
    outputs: Sequence[Thing],
    links: Mapping[tuple[int, int], Pairs | set[tuple[int, int]]] | None = None,
    *,
    second: int,
    kind: RunKind = RunKind.TRANSFORM,
    lookups: Sequence[Thing] = (),
    drops: Mapping[int, Mapping[int, tuple[str, int]]] | None = None,
    changed: Mapping[int, Sequence[int]] | None = None,
    complete: bool = True,
    rowwise: bool = False,
    command: Sequence[str] = ("python", "step.py"),
    facts: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
) -> Made:
    """Store a run; None as links: nothing is known of rows."""
    at = f"2026-01-01T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.000Z"
    pairs = {place: set(each) for place, each in (links or {}).items()}
    accounts = {
        number: _account(
            _records(thing), pairs, number, (drops or {}).get(number, {}), (changed or {}).get(number, ())
        )
        for number, thing in enumerate(inputs if links is not None else ())
    }
    fates = [accounts[number].fates if number in accounts else None for number in range(len(inputs))]
    added = [_added(_records(each), pairs, number) for number, each in enumerate(outputs)]
    run = Run(
        name=name,
        kind=kind,
        inputs=(*map(_input, inputs, fates), *(_input(each, None, Role.LOOKUP) for each in lookups)),
        outputs=tuple(_output(*each) for each in zip(outputs, repeat(links is not None), added)),
        code=CODE,
        environment=ENVIRONMENT,
        agent=Agent("Ann", "ann@example.org"),
        started_at=at,
        ended_at=at,
        command=tuple(command),
        manual=None if command else "by hand",
        facts=facts or {},
        parameters=parameters or {},
        capture=Capture.MAP if links is not None else Capture.NONE,
        complete=complete,
        rowwise=rowwise,
    )
    files = [[_files(each) for each in side] for side in ((*inputs, *lookups), outputs)]
    id_ = store_run(store, run, inputs=files[0], outputs=files[1], parts=_parts(pairs, accounts))
    return Made(id_, [*inputs, *lookups], list(outputs), pairs)


def make_source(
    store: ChunkStore,
    id_: str,
    things: Sequence[Thing],
    *,
    rows: Mapping[bytes, Sequence[int]] | None = None,
    status: Status = Status.ACTIVE,
    covers: Sequence[bytes] | None = None,
    record: Mapping[str, Any] | None = None,
) -> NodeId:
    """Store a state of a source that attests files as they are given; `record`: what its record says else."""
    entries = sorted((e for each in things for e in _entries(each)), key=lambda e: e.path)
    paths = [each.path for each in things] if covers is None else covers
    stated = SourceRecord(
        source_id=id_,
        title=f"Title of {id_}",
        acquisition=Acquisition.OPEN_DATASET,
        legal_basis=LegalBasis.LICENCE,
        license_expression="CC-BY-4.0",
        status=status,
        covers=tuple(Coverage(path=path) for path in dict.fromkeys(paths)),
    )
    files = Manifest(store, EMPTY_ROOT).update([(e.path, e) for e in entries])
    found = {b"files": tree_entry(b"files", files)}
    parts = {b"record": encode_source(msgspec.structs.replace(stated, **(record or {})))}
    for path, numbers in (rows or {}).items():
        parts[b"rows/" + path] = encode_rows(np.array(sorted(numbers), np.int64))
    for path, data in parts.items():
        found[path] = store_bytes(store, path, data, None, lambda *_: NO_FACTS).entry(path, MODE_FILE)
    return Manifest(store, EMPTY_ROOT, trees=True).update(sorted(found.items()))


def _entries(thing: Thing) -> Sequence[Entry]:
    return thing.entries if isinstance(thing, Folder) else [thing]


def _files(thing: Thing) -> Files:
    if isinstance(thing, Folder):
        return Files(relative(thing.entries, thing.path), True)
    return Files([thing], False)


def _artifact(thing: Thing) -> dict[str, Any]:
    if isinstance(thing, Folder):
        found = folder_artifact(thing.path, relative(thing.entries, thing.path))
    else:
        found = file_artifact(thing)
    return {name: getattr(found, name) for name in ("path", "digest", "folder", "size", "records")}


def _records(thing: Thing) -> int:
    return len(thing.entries) if isinstance(thing, Folder) else thing.rows or 0


def _input(thing: Thing, fates: Fates | None, role: Role = Role.INPUT) -> Input:
    return Input(**_artifact(thing), fates=fates, role=role)


def _output(thing: Thing, mapped: bool, added: int) -> Output:
    return Output(**_artifact(thing), added=added, capture=Capture.MAP if mapped else Capture.NONE)


def _added(records: int, pairs: Mapping[tuple[int, int], set[tuple[int, int]]], output: int) -> int:
    made = {out for (o, _), each in pairs.items() if o == output for out, _ in each}
    return records - len(made) if pairs else 0


def _account(
    records: int,
    pairs: Mapping[tuple[int, int], set[tuple[int, int]]],
    number: int,
    drops: Mapping[int, tuple[str, int]],
    changed: Sequence[int],
) -> RowAccount:
    children: dict[int, list[tuple[int, int]]] = {row: [] for row in range(records)}
    members: dict[tuple[int, int], int] = {}
    for (output, input_), each in pairs.items():
        for out, row in each if input_ == number else ():
            children[row].append((output, out))
            members[output, out] = members.get((output, out), 0) + 1
    dropped = [row for row, each in children.items() if not each]
    split = [row for row, each in children.items() if len(each) > 1]
    merged = [row for row, each in children.items() if len(each) == 1 and members[each[0]] > 1]
    altered = sorted(set(changed) - set(dropped) - set(split) - set(merged))
    kept = records - len(dropped) - len(split) - len(merged) - len(altered)
    reasons = sorted({drops.get(row, ("unspecified", -1))[0] for row in dropped})
    return RowAccount(
        Fates(kept=kept, changed=len(altered), merged=len(merged), split=len(split), dropped=len(dropped)),
        np.array(altered, np.int64),
        np.array(dropped, np.int64),
        tuple(reasons),
        np.array([reasons.index(drops.get(row, ("unspecified", -1))[0]) for row in dropped], np.int64),
        np.array([drops.get(row, ("unspecified", -1))[1] for row in dropped], np.int64),
    )
