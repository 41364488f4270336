"""Evidence files of a source: read, stored and named; what snapshots say is read from them."""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Iterable, Mapping, Sequence

import blake3
import msgspec

from dsvc.lineage.evidence import (
    HEADERS,
    MAX_EVIDENCE_BYTES,
    MAX_NAME_BYTES,
    ROBOTS,
    TDMREP,
    EvidenceError,
    EvidenceOption,
    check_type,
    free_name,
    infer_type,
)
from dsvc.lineage.source_tree import store_part
from dsvc.model.errors import MalformedInputError, NotFoundError, StorageError
from dsvc.model.manifest import Entry
from dsvc.model.paths import check_structure, display_path
from dsvc.model.source_record import Evidence, SourceRecord
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.materialize import read_content

_SNAPSHOTS = (ROBOTS, TDMREP, HEADERS)


def add_evidence(
    repo: Workspace, record: SourceRecord, stored: Mapping[str, Entry], options: Sequence[EvidenceOption]
) -> tuple[SourceRecord, dict[str, Entry]]:
    """Store evidence files and put them into a record.

    A file of the working tree takes the place of the evidence that was read from the same path before; one
    from elsewhere that of the same name.

    Parameters
    ----------
    stored : mapping of str to Entry
        Evidence that the source has, by name.
    options : sequence of EvidenceOption
        Files by absolute paths.

    Raises
    ------
    NotFoundError
        If a file isn't there.
    EvidenceError
        If one is a folder, or too large.
    """
    entries = dict(stored)
    held = {each.name: each for each in record.evidence}
    now: set[str] = set()
    for given in options:
        _check_period(given)
        known = next((each for each in held.values() if each.digest == given.digest), None)
        if known is not None:
            held[known.name] = _renewed(known, given)
            continue
        option = _placed(repo, given)
        path = _below(repo.root, option.file)
        data = _read(option.file, option.digest)
        name = _name(option.file, path, held, now)
        now.add(name)
        type_ = check_type(option.type) if option.type else infer_type(os.path.basename(option.file), data)
        entries[name] = store_part(repo.store, data)
        held[name] = Evidence(
            type=type_,
            name=name,
            digest=blake3.blake3(data).digest(),
            size=len(data),
            valid_from=option.valid_from,
            valid_to=option.valid_to,
            path=path,
        )
    evidence = tuple(held[name] for name in sorted(held))
    return msgspec.structs.replace(record, evidence=evidence), entries


def drop_evidence(
    record: SourceRecord, stored: Mapping[str, Entry], names: Iterable[str]
) -> tuple[SourceRecord, dict[str, Entry]]:
    """Take evidence out of a record; earlier operations of the source keep it.

    Raises
    ------
    NotFoundError
        If it has none of that name.
    """
    entries = dict(stored)
    for name in names:
        if entries.pop(name, None) is None:
            known = ", ".join(each.name for each in record.evidence) or "none"
            raise NotFoundError(
                f"source {record.source_id} has no evidence {name!r}", hint=f"it has: {known}"
            )
    evidence = tuple(each for each in record.evidence if each.name in entries)
    return msgspec.structs.replace(record, evidence=evidence), entries


def read_snapshots(repo: Workspace, record: SourceRecord, entries: Mapping[str, Entry]) -> SourceRecord:
    """Read again what snapshots say to the record's user agent, of the record's domains."""
    if not any(each.type in _SNAPSHOTS for each in record.evidence):
        return record
    from dsvc.lineage.optout import read_facts, sites_of

    repo.store.publish()  # so that what was just stored can be read
    agent, domains = record.fields.get("user_agent"), record.fields.get("domains")
    sites = sites_of(domains if isinstance(domains, list) else [])
    evidence = tuple(
        msgspec.structs.replace(
            each,
            facts=read_facts(
                each.type,
                read_content(repo.store, entries[each.name]),
                user_agent=agent if isinstance(agent, str) else None,
                sites=sites,
                name=display_path(each.path or each.name.encode()),
            ),
        )
        if each.type in _SNAPSHOTS
        else each
        for each in record.evidence
    )
    return msgspec.structs.replace(record, evidence=evidence)


def _below(root: str, file: str) -> bytes | None:
    """Path of a file in the working tree, None where it lies elsewhere."""
    folder, name = os.path.split(os.path.abspath(file))
    at = os.fsencode(os.path.join(os.path.realpath(folder), name))
    top = os.fsencode(os.path.realpath(root)).rstrip(b"/") + b"/"
    path = at.removeprefix(top)
    if path == at:
        return None
    try:
        check_structure(path)
    except MalformedInputError:
        return None
    return path


def _check_period(option: EvidenceOption) -> None:
    if option.valid_from and option.valid_to and option.valid_from > option.valid_to:
        raise EvidenceError(f"evidence that holds from {option.valid_from} to {option.valid_to} never does")


def _renewed(known: Evidence, option: EvidenceOption) -> Evidence:
    """Evidence that a document names and the source has already."""
    return msgspec.structs.replace(
        known,
        type=option.type or known.type,
        valid_from=option.valid_from,
        valid_to=option.valid_to,
    )


def _placed(repo: Workspace, option: EvidenceOption) -> EvidenceOption:
    """Find the file of a document beside it, else at its place in the working tree."""
    if option.relative is None or os.path.lexists(option.file):
        return option
    below = os.path.join(repo.root, option.relative)
    return option._replace(file=below) if os.path.lexists(below) else option


def _read(file: str, digest: bytes | None) -> bytes:
    shown = display_path(os.fsencode(file))
    try:
        # Opened so that a FIFO without a writer doesn't hold the locks for ever.
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat_module.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise EvidenceError(f"{shown} is no file", hint="evidence is a file")
            data = stream.read(MAX_EVIDENCE_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no evidence file {shown}", details={"path": shown}) from error
    except IsADirectoryError as error:
        raise EvidenceError(f"{shown} is a folder", hint="evidence is a file; name each one") from error
    except OSError as error:
        raise StorageError(f"cannot read {shown}: {error.strerror}", details={"path": shown}) from error
    if len(data) > MAX_EVIDENCE_BYTES:
        raise EvidenceError(f"{shown} has more than {MAX_EVIDENCE_BYTES >> 20} MiB: too much for evidence")
    if digest is not None and blake3.blake3(data).digest() != digest:
        raise EvidenceError(
            f"{shown} is other evidence than the record names",
            details={"path": shown, "digest": digest.hex()},
        )
    return data


def _name(file: str, path: bytes | None, held: Mapping[str, Evidence], now: set[str]) -> str:
    for each in held.values():
        if path is not None and each.path == path:
            return each.name
    text = os.fsencode(os.path.basename(file)).decode("utf-8", "replace")
    while len(text.encode()) > MAX_NAME_BYTES:
        text = text[1:]
    name = text if _is_name(text) else "evidence"
    before = held.get(name)
    if before is not None and before.path is None and path is None and name not in now:
        return name
    return free_name(name, held)


def _is_name(text: str) -> bool:
    try:
        check_structure(text.encode())
    except MalformedInputError:
        return False
    return True
