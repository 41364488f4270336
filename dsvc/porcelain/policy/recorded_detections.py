"""What detectors said of files when they were committed: listed, and found out again to be compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from dsvc.lineage.validation import Gate
from dsvc.model.detection import Detection
from dsvc.model.detection_run import DetectionRun
from dsvc.model.manifest import Entry
from dsvc.porcelain.policy.detections import RepositoryDetections, scan_files
from dsvc.porcelain.policy.judged_version import judged_version
from dsvc.porcelain.policy.policy_case import case_of
from dsvc.porcelain.policy.policy_in_force import policy_of
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.porcelain.state.moment import now
from dsvc.porcelain.state.workspace import Workspace


class Repeated(StrEnum):
    """What came of looking again."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    OTHER_VERSION = "other-version"
    """The detector, a library of it or its configuration is another one now."""
    NO_FILES = "no-files"
    """None of the files is in this version with the content that it had."""


class RecordedRun(NamedTuple):
    """A run of a detector that a commit keeps.

    Attributes
    ----------
    run : DetectionRun
    repeated : Repeated or None
        What came of looking again; None: that wasn't asked.
    differing : tuple of bytes
        Paths of which it says something else now.
    """

    run: DetectionRun
    repeated: Repeated | None = None
    differing: tuple[bytes, ...] = ()


def recorded_detections(repo: Workspace, rev: str | None = None) -> list[RecordedRun]:
    """List what detectors said, as a version and those before it keep it.

    Raises
    ------
    NotFoundError
        If there is no such revision.
    MissingDataError, CorruptDataError, MalformedInputError
        If a record can't be read.
    """
    commit = repo.history.revisions.resolve(rev or "HEAD")
    return [RecordedRun(run) for run in lineage_of(repo, commit).detections()]


def repeat_detections(repo: Workspace, rev: str | None = None) -> Iterator[RecordedRun]:
    """Look again at what detectors looked at, and compare what they say; errors as `recorded_detections`."""
    version = judged_version(repo, rev)
    settings = policy_of(repo, version.root).settings
    case = case_of(repo, version, settings, (), Gate.PUSH, now())
    manifest = repo.manifest(version.root)
    for recorded in recorded_detections(repo, rev):
        run = recorded.run
        wanted = dict(run.clean) | {path: digest for path, digest, _ in run.found}
        entries = [
            entry
            for path, digest in sorted(wanted.items())
            if (entry := manifest.get(path)) is not None and entry.digest == digest
        ]
        if not entries:
            yield recorded._replace(repeated=Repeated.NO_FILES)
            continue
        found = RepositoryDetections(entries)
        scan_files(repo, replace(case, entries=tuple(entries)), run.detector, found, rescan=True)
        yield _compared(recorded, list(found.runs()), entries)


def _compared(recorded: RecordedRun, again: Sequence[DetectionRun], entries: Sequence[Entry]) -> RecordedRun:
    run = recorded.run
    if len(again) != 1 or (again[0].version, again[0].config) != (run.version, run.config):
        return recorded._replace(repeated=Repeated.OTHER_VERSION)
    before, after = _by_path(run), _by_path(again[0])
    differing = tuple(each.path for each in entries if before.get(each.path) != after.get(each.path))
    said = Repeated.DIFFERENT if differing else Repeated.IDENTICAL
    return recorded._replace(repeated=said, differing=differing)


def _by_path(run: DetectionRun) -> dict[bytes, Detection | None]:
    said: dict[bytes, Detection | None] = {path: None for path, _ in run.clean}
    return said | {path: detection for path, _, detection in run.found}
