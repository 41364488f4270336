"""An evaluation as a commit: ``refs/dsvc/feedback/ID``, which moves no branch, no HEAD and no working tree.

The manifest of the commit holds ``record``, ``evidence/NAME`` (the file as it was), ``observations``,
``unresolved``, ``evaluated/N`` (sets of rows, by number in the record) and ``scores/N`` (values of single
samples, by metric). ID is the beginning of the manifest's root, so one evaluation of the same data has one id
in all copies of a repository, which share its salt. On chains see `records.operation_chain`.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, cast

import msgspec

from dsvc.feedback.importers.importer import MAX_SAMPLES
from dsvc.history.refs import RefChange
from dsvc.model.encoding import decode, encode
from dsvc.model.errors import CorruptDataError, MalformedInputError, NotFoundError, UsageError
from dsvc.model.feedback import FeedbackRecord, Observation, Unresolved
from dsvc.model.feedback_codec import decode_feedback, decode_frames, encode_feedback, encode_frames
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.porcelain.records.operation_chain import Chains, prepare_operation, store_parts
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.read import StoredFile
from dsvc.store.manifest_tree import Manifest
from dsvc.store.materialize import read_content

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsvc.history.history import Prepared

    Scores = tuple[NDArray[np.uint8], NDArray[np.float64]]

FEEDBACK_REFS: Final = "refs/dsvc/feedback/"
RECORD, OBSERVATIONS, UNRESOLVED = b"record", b"observations", b"unresolved"
EVIDENCE, EVALUATED, SCORES = b"evidence", b"evaluated", b"scores"
IDENTITY_BYTES: Final = 16
_DIGITS: Final = (12, 16, 24, 64)
_ID: Final = re.compile("[0-9a-f]{12,64}")
_LENGTH: Final = struct.Struct("<I")
_BUFFER_BYTES: Final = 1 << 20
_MAX_HEAD: Final = 1 << 20
_MAX_SCORES: Final = MAX_SAMPLES * (IDENTITY_BYTES + 8) + _MAX_HEAD


class NoSuchFeedbackError(NotFoundError):
    """There is no evaluation of that id."""

    code = "no-such-feedback"


def _check_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise UsageError(f"{text[:80]!r} is no id of an evaluation", hint="dsvc feedback list shows them")
    return text


FEEDBACK: Final = Chains(FEEDBACK_REFS, "feedback", _check_id, NoSuchFeedbackError, "dsvc feedback list")


class FeedbackHead(NamedTuple):
    """A recorded evaluation: its id, its commit, and what that says."""

    id: str
    commit: CommitId
    record: FeedbackRecord


class ScoreHead(NamedTuple):
    """Which metric the values of single samples are of, of which task, and how many they are."""

    metric: str
    task: str | None
    samples: int


# Reading


def feedback_ids(repo: Workspace) -> list[str]:
    """Ids of all evaluations, in order."""
    return FEEDBACK.ids(repo)


def find_feedback_id(repo: Workspace, text: str) -> str:
    """Find the id that begins with some digits.

    Raises
    ------
    NoSuchFeedbackError
        If there is none, or more than one.
    """
    return FEEDBACK.find(repo, text)


def feedback_head(repo: Workspace, id: str) -> FeedbackHead:  # noqa: A002
    """Read the record of an evaluation.

    Parameters
    ----------
    id : str
        At least its first 4 digits.

    Raises
    ------
    NoSuchFeedbackError
        If there is none of that id.
    MissingDataError, CorruptDataError, MalformedInputError
        If it can't be read.
    """
    id_ = find_feedback_id(repo, id)
    return feedback_at(repo, FEEDBACK.head(repo, id_), id_)


def feedback_at(repo: Workspace, commit: CommitId, id: str) -> FeedbackHead:  # noqa: A002
    """Read the record of an evaluation at a commit of its chain; raises as `feedback_head`."""
    made = repo.history.read_commit(commit)
    manifest = Manifest(repo.store, made.manifest)
    record = decode_feedback(FEEDBACK.part(repo, manifest, RECORD))
    evaluated = tuple(
        msgspec.structs.replace(each, rows=FEEDBACK.part(repo, manifest, _numbered(EVALUATED, number)))
        if each.rows is not None
        else each
        for number, each in enumerate(record.evaluated)
    )
    who = made.author
    record = msgspec.structs.replace(
        record, evaluated=evaluated, imported_at=who.rfc3339(), by=f"{who.name} <{who.email}>"
    )
    return FeedbackHead(id, commit, record)


def observations(repo: Workspace, id: str) -> Iterator[Observation]:  # noqa: A002
    """Yield the observations of an evaluation whose rows were found, in order; raises as `feedback_head`."""
    with _open(repo, _manifest(repo, id), OBSERVATIONS) as stream:
        yield from decode_frames(stream, Observation)


def unresolved(repo: Workspace, id: str) -> Iterator[Unresolved]:  # noqa: A002
    """Yield what could not be resolved, in order, with the reasons; raises as `feedback_head`."""
    with _open(repo, _manifest(repo, id), UNRESOLVED) as stream:
        yield from decode_frames(stream, Unresolved)


def evidence_names(repo: Workspace, id: str) -> list[str]:  # noqa: A002
    """Names of the files that were imported: the one of the record, and those that belong to it."""
    entries = _manifest(repo, id).entries(EVIDENCE)
    return [entry.path[len(EVIDENCE) + 1 :].decode("utf-8", "replace") for entry in entries]


def open_evidence(repo: Workspace, id: str, name: str | None = None) -> BinaryIO:  # noqa: A002
    """Open an imported file as it was; each chunk is checked before its bytes are given out.

    Parameters
    ----------
    name : str or None
        None: the one of the record.

    Raises
    ------
    NoSuchFeedbackError
        If there is no such evaluation.
    CorruptDataError
        If it has no file of this name.
    """
    wanted = feedback_head(repo, id).record.evidence if name is None else name
    return _open(repo, _manifest(repo, id), EVIDENCE + b"/" + wanted.encode())


def score_heads(repo: Workspace, id: str) -> list[ScoreHead]:  # noqa: A002
    """Say of which metrics there are values of single samples; raises as `feedback_head`."""
    manifest = _manifest(repo, id)
    return [_score_head(_score_bytes(repo, entry))[0] for entry in manifest.entries(SCORES)]


def scores(repo: Workspace, id: str, metric: str, task: str | None = None) -> Scores:  # noqa: A002
    """Values of single samples of a metric.

    Parameters
    ----------
    task : str or None
        Part of the suite; None: all parts together.

    Returns
    -------
    identities : ndarray of uint8, shape (n, 16)
        What names a sample in another evaluation by the same suite too; ascending, each once.
    values : ndarray of float64, shape (n,)

    Raises
    ------
    NoSuchFeedbackError, MissingDataError, CorruptDataError, MalformedInputError
        As `feedback_head`.
    """
    import numpy as np

    found: list[Scores] = [(np.zeros((0, IDENTITY_BYTES), np.uint8), np.zeros(0))]
    for entry in _manifest(repo, id).entries(SCORES):
        data = _score_bytes(repo, entry)
        head, at = _score_head(data)
        if head.metric != metric or (task is not None and head.task != task):
            continue
        middle = at + head.samples * IDENTITY_BYTES
        identities = np.frombuffer(data, np.uint8, head.samples * IDENTITY_BYTES, at)
        values = np.frombuffer(data, "<f8", head.samples, middle).astype(np.float64)
        found.append((identities.reshape(-1, IDENTITY_BYTES), values))
    return _ordered(np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found]))


def _ordered(identities: NDArray[np.uint8], values: NDArray[np.float64]) -> Scores:
    import numpy as np

    whole = np.ascontiguousarray(identities).view(f"V{IDENTITY_BYTES}").reshape(-1)
    _, first = np.unique(whole, return_index=True)
    return identities[first], values[first]


def _score_bytes(repo: Workspace, entry: Entry) -> bytes:
    if entry.size > _MAX_SCORES:
        raise MalformedInputError("scores of samples are longer than any file has samples")
    return read_content(repo.store, entry)


def _score_head(data: bytes) -> tuple[ScoreHead, int]:
    length = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else _MAX_HEAD
    at = _LENGTH.size + length
    if length >= _MAX_HEAD or at > len(data):
        raise MalformedInputError("scores of samples are torn")
    head = decode(data[_LENGTH.size : at], ScoreHead, "head of scores")
    if head.samples < 0 or len(data) != at + head.samples * (IDENTITY_BYTES + 8):
        raise MalformedInputError("scores of samples are torn")
    return head, at


def _manifest(repo: Workspace, id_: str) -> Manifest:
    tip = FEEDBACK.head(repo, find_feedback_id(repo, id_))
    return Manifest(repo.store, repo.history.read_commit(tip).manifest)


def _open(repo: Workspace, manifest: Manifest, path: bytes) -> BinaryIO:
    entry = manifest.get(path)
    if entry is None or not entry.is_file:
        raise CorruptDataError(f"a feedback has no {path.decode('utf-8', 'replace')}")
    return cast(BinaryIO, io.BufferedReader(StoredFile(repo.store, entry), _BUFFER_BYTES))


def _numbered(folder: bytes, number: int) -> bytes:
    return folder + b"/%06d" % number


# Storing


class StoredFeedback(NamedTuple):
    """An evaluation that is stored, and not published yet: its id, its commit, the ref that moves."""

    id: str
    prepared: Prepared
    change: RefChange | None


def store(
    repo: Workspace,
    record: FeedbackRecord,
    evidence: Mapping[str, Entry],
    found: Iterable[Observation],
    lost: Iterable[Unresolved],
    values: Mapping[tuple[str, str | None], Scores],
) -> StoredFeedback:
    """Store an evaluation; nothing is published and no ref moved, so that defects can move with it.

    Parameters
    ----------
    evidence : mapping of str to Entry
        Stored files, by name; that of the record is among them.
    found, lost : iterable of Observation, and of Unresolved
    values : mapping
        By metric and task: identities, shape (n, 16), and values.

    Returns
    -------
    StoredFeedback
        Without `change` where the very same is recorded already.

    Raises
    ------
    MalformedInputError
        If it is beyond what is kept of an evaluation.
    """
    parts = {
        RECORD: _record_bytes(record),
        OBSERVATIONS: b"".join(encode_frames(found)),
        UNRESOLVED: b"".join(encode_frames(lost)),
    }
    for number, each in enumerate(record.evaluated):
        if each.rows is not None:
            parts[_numbered(EVALUATED, number)] = each.rows
    order = sorted(values, key=lambda place: (place[0], place[1] or ""))
    for number, (metric, task) in enumerate(order):
        parts[_numbered(SCORES, number)] = _encode_scores(metric, task, *values[metric, task])
    files = [
        msgspec.structs.replace(entry, path=EVIDENCE + b"/" + name.encode())
        for name, entry in evidence.items()
    ]
    state = store_parts(repo, parts, files)
    title = f"feedback {' '.join(record.suite.split())[:80]} on {record.subject.commit[:12]}"
    prepared = prepare_operation(repo, state, [], title)
    id_ = ""
    for digits in _DIGITS:
        id_ = bytes(state.root).hex()[:digits]
        tip = FEEDBACK.tip(repo, id_)
        if tip is None:
            return StoredFeedback(id_, prepared, RefChange(FEEDBACK.ref(id_), None, prepared.id))
        if repo.history.read_commit(tip).manifest == state.root:
            break
    return StoredFeedback(id_, prepared, None)


def _record_bytes(record: FeedbackRecord) -> bytes:
    data = encode_feedback(record)
    decode_feedback(data)  # what could not be read again is refused now
    return data


def _encode_scores(
    metric: str, task: str | None, identities: NDArray[np.uint8], values: NDArray[np.float64]
) -> bytes:
    identities, values = _ordered(identities, values)
    head = encode(ScoreHead(metric, task, len(values)))
    return b"".join([_LENGTH.pack(len(head)), head, identities.tobytes(), values.astype("<f8").tobytes()])


__all__ = [
    "FEEDBACK",
    "FEEDBACK_REFS",
    "FeedbackHead",
    "NoSuchFeedbackError",
    "StoredFeedback",
    "evidence_names",
    "feedback_at",
    "feedback_head",
    "feedback_ids",
    "find_feedback_id",
    "observations",
    "open_evidence",
    "score_heads",
    "scores",
    "store",
    "unresolved",
]
