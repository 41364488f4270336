"""What detectors say of the files that are judged: known from before, or found out now.

What isn't known is looked for in child processes (`policy.detector_child`); whatever gives no answer
is unknown, and unknown never passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Final

import xxhash

from dsvc.model.detection import Detection, DetectionStatus
from dsvc.model.detection_run import DetectionRun
from dsvc.model.errors import DsvcError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.policy.case import Case, unknown
from dsvc.policy.detectors.detector import (
    FileDetector,
    ScannedFile,
    ScannedTable,
    SetDetector,
    Wanted,
    config_digest,
    promised,
)
from dsvc.policy.detectors.registry import file_detector, set_detector
from dsvc.policy.rule import RuleUse
from dsvc.porcelain.policy.detection_cache import DetectionCache, KeySet, Said, take_in
from dsvc.porcelain.policy.detector_child import Job, NoAnswer, run_jobs
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_source import StoredSource
from dsvc.store.materialize import read_content
from dsvc.table.roles import TableRule

MAX_WORDS_BYTES: Final = 64 << 20


class RepositoryDetections:
    """What detectors said of the judged files.

    Parameters
    ----------
    entries : sequence of Entry
        The judged files.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._keys = [file_key(entry) for entry in entries]
        self._said: dict[str, Said] = {}
        self._versions: dict[str, tuple[str, str]] = {}
        self._why: dict[str, str] = {}
        self._sets: dict[tuple[str, bytes], Detection] = {}

    def know(self, detector: str, said: Said, version: str, config: str) -> None:
        """Take in what a detector said of files."""
        self._said[detector] = said
        self._versions[detector] = version, config

    def runs(self) -> Iterator[DetectionRun]:
        """Yield what each detector said of the files, to be kept with the commit that brings them."""
        for name, (version, config) in self._versions.items():
            said, clean, found = self._said[name], [], []
            known = said.clean.asked(len(self._keys))
            for entry, key in zip(self._entries, self._keys, strict=True):
                if key in known:
                    clean.append((entry.path, entry.digest))
                elif (each := said.found.get(key)) is not None and each.version == version:
                    found.append((entry.path, entry.digest, each))
            if clean or found:
                yield DetectionRun(
                    detector=name, version=version, config=config, clean=tuple(clean), found=tuple(found)
                )

    def lack(self, detector: str, reason: str) -> None:
        """Take in why a detector says nothing."""
        self._why[detector] = reason

    def answer(self, wanted: Wanted, detection: Detection) -> None:
        """Take in what a detector said of a set of files."""
        self._sets[wanted.detector, wanted.key] = detection

    def unclean(self, detector: str) -> Iterator[tuple[Entry, Detection]]:
        """Judged files in which a detector found something, or of which it isn't known what it would."""
        said = self._said.get(detector, Said(KeySet(), {}))
        clean = said.clean.asked(len(self._keys))
        for entry, key in zip(self._entries, self._keys, strict=True):
            if key not in clean:
                found = said.found.get(key) or self._unknown(detector, entry)
                if found.status is not DetectionStatus.CLEAN:
                    yield entry, found

    def all(self, detector: str) -> Iterator[tuple[Entry, Detection]]:
        """Every judged file with what a detector found in it."""
        said = self._said.get(detector, Said(KeySet(), {}))
        clean = Detection(detector=detector, version="", config="", input=b"", status=DetectionStatus.CLEAN)
        known = said.clean.asked(len(self._keys))
        for entry, key in zip(self._entries, self._keys, strict=True):
            if key in known:
                yield entry, clean
            else:
                yield entry, said.found.get(key) or self._unknown(detector, entry)

    def _unknown(self, detector: str, entry: Entry) -> Detection:
        return unknown(detector, entry.digest, self._why.get(detector, "it did not run"))

    def of(self, wanted: Wanted) -> Detection:
        """What a detector found in a set of files; unknown where it didn't look."""
        found = self._sets.get((wanted.detector, wanted.key))
        return found or unknown(wanted.detector, wanted.key, self._why.get(wanted.detector, "it did not run"))

    def lacking(self, said: Said) -> dict[bytes, Entry]:
        """Files of which nothing is said, by their key."""
        clean = said.clean.asked(len(self._keys))
        return {
            key: entry
            for entry, key in zip(self._entries, self._keys, strict=True)
            if key not in clean and key not in said.found
        }


def file_key(entry: Entry) -> bytes:
    """Key of a file in the cache: its content, and the format that its name promises."""
    return entry.digest + _promise(entry.path.rpartition(b"/")[2].partition(b".")[2].lower())


@lru_cache(maxsize=1024)
def _promise(suffix: bytes) -> bytes:
    return xxhash.xxh32_digest(promised(b"file." + suffix))


def detected(
    repo: Workspace, case: Case, uses: Iterable[RuleUse], *, rescan: bool = False
) -> tuple[Case, RepositoryDetections]:
    """Have detectors look at what the rules want, and give the case with what they said, and that alone.

    Parameters
    ----------
    rescan : bool
        Look again, whatever was said before.
    """
    listed = list(uses)
    found = RepositoryDetections(case.entries)
    for name in dict.fromkeys(name for use in listed for name in use.rule.scans):
        scan_files(repo, case, name, found, rescan=rescan)
    case = replace(case, detections=found)
    wanted: dict[tuple[str, bytes], Wanted] = {}
    for use in listed:
        try:
            wanted.update({(each.detector, each.key): each for each in use.rule.wants(case, use.terms)})
        except DsvcError:
            # The rule will say what it can't read when it is asked.
            continue
    for (name, _), each in wanted.items():
        found.answer(each, _scan_set(repo, case, name, each, rescan=rescan))
    return case, found


def scan_files(repo: Workspace, case: Case, name: str, found: RepositoryDetections, *, rescan: bool) -> None:
    """Have a detector look at the judged files that it hasn't seen, and take in what it says.

    Parameters
    ----------
    found : RepositoryDetections
        Takes it, or why there is nothing.
    rescan : bool
        Look again, whatever was said before.
    """
    try:
        detector = file_detector(name, case.settings, partial(_content, repo, case.version))
        version, config = detector.version(), config_digest(detector.config())
    except DsvcError as error:
        found.lack(name, error.message)
        return
    except Exception as error:
        # A package that it stands on is broken.
        found.lack(name, _broken(error))
        return
    cache = DetectionCache(repo.layout.cache, name, version, config)
    said = Said(KeySet(), {}) if rescan else cache.load()
    todo = found.lacking(said)
    if todo:

        def apart(entry: Entry) -> bool:
            return StoredSource(repo, entry).is_foreign

        jobs = [
            Job(
                entry.size,
                partial(_look, repo, detector, entry, case.tables.for_path(entry.path)),
                apart(entry),
            )
            for entry in todo.values()
        ]
        answers = dict(zip(todo, run_jobs(jobs), strict=True))
        take_in(said, {key: each for key, each in answers.items() if isinstance(each, Detection)})
        cache.save(said)
        for key, each in answers.items():
            if isinstance(each, NoAnswer):
                said.found[key] = unknown(name, todo[key].digest, each.reason)
    found.know(name, said, version, config)


def _broken(error: Exception) -> str:
    return f"it can't be started: {type(error).__name__}: {error}"


def _look(repo: Workspace, detector: FileDetector, entry: Entry, rule: TableRule) -> Detection:
    return detector.scan(ScannedFile.of(entry.path, StoredSource(repo, entry), rule))


def _content(repo: Workspace, version: bytes, path: str) -> bytes | None:
    entry = repo.manifest(NodeId(version)).get(path.encode())
    if entry is None or not entry.is_file or entry.size > MAX_WORDS_BYTES:
        return None
    return read_content(repo.store, entry)


def _scan_set(repo: Workspace, case: Case, name: str, wanted: Wanted, *, rescan: bool) -> Detection:
    try:
        detector = set_detector(name)
        version, config = detector.version(), config_digest(detector.config())
    except DsvcError as error:
        return unknown(name, wanted.key, error.message)
    except Exception as error:
        return unknown(name, wanted.key, _broken(error))
    cache = DetectionCache(repo.layout.cache, name, version, config)
    said = Said(KeySet(), {}) if rescan else cache.load()
    key = wanted.key + bytes(4)
    if key in said.found:
        return said.found[key]
    files = [(each, case.tables.for_path(each.path)) for each in wanted.entries]
    work = partial(_look_together, repo, detector, files, dict(wanted.options))
    apart = any(StoredSource(repo, entry).is_foreign for entry, _ in files)
    (answer,) = run_jobs([Job(sum(entry.size for entry, _ in files), work, apart)])
    if isinstance(answer, NoAnswer):
        return unknown(name, wanted.key, answer.reason)
    said.found[key] = answer
    cache.save(said)
    return answer


def _look_together(
    repo: Workspace,
    detector: SetDetector,
    files: Sequence[tuple[Entry, TableRule]],
    options: dict[str, str],
) -> Detection:
    tables = [ScannedTable.of(entry.path, StoredSource(repo, entry), rule) for entry, rule in files]
    return detector.scan(tables, options)
