"""What detectors said of files before: a cache, since the same version says the same of the same bytes.

One file for each detector, version and configuration: the keys of clean files, and what was found in others.
Derived; may be deleted at any time.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping, MutableSet
from typing import NamedTuple

import msgspec
import xxhash
from blake3 import blake3

from dsvc.fs import cache_files
from dsvc.model.detection import Detection, DetectionStatus, decode_detection, encode_detection
from dsvc.model.encoding import encode
from dsvc.model.errors import MalformedInputError

_KEY_BYTES = 36
_Body = tuple[tuple[str, str, str], bytes, list[tuple[bytes, bytes]]]
_SINGLE_SEARCHES = 20
"""So many keys are read in the time that one is searched for."""


class KeySet(MutableSet[bytes]):
    """A set of keys, as they lie in the cache: a few questions are answered by search, for many it is read.

    Parameters
    ----------
    keys : bytes
        Keys in order, one after the other.
    """

    def __init__(self, keys: bytes = b"") -> None:
        self._sorted = keys
        self._questions = len(keys) // _KEY_BYTES // _SINGLE_SEARCHES
        self._known: set[bytes] | None = None if keys else set()

    def _all(self) -> set[bytes]:
        if self._known is None:
            keys = self._sorted
            self._known = {keys[at : at + _KEY_BYTES] for at in range(0, len(keys), _KEY_BYTES)}
        return self._known

    def __contains__(self, key: object) -> bool:
        if self._known is None and self._questions > 0 and isinstance(key, bytes):
            self._questions -= 1
            return self._search(key)
        return key in self._all()

    def asked(self, questions: int) -> Container[bytes]:
        """Give the quickest way to ask whether so many keys are there."""
        return self if self._known is None and questions <= self._questions else self._all()

    def _search(self, key: bytes) -> bool:
        low, high, keys = 0, len(self._sorted) // _KEY_BYTES, self._sorted
        while low < high:
            middle = (low + high) >> 1
            if keys[middle * _KEY_BYTES : (middle + 1) * _KEY_BYTES] < key:
                low = middle + 1
            else:
                high = middle
        return keys[low * _KEY_BYTES : (low + 1) * _KEY_BYTES] == key

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def add(self, value: bytes) -> None:
        """Add a key."""
        self._all().add(value)

    def discard(self, value: bytes) -> None:
        """Take a key out."""
        self._all().discard(value)


class Said(NamedTuple):
    """What a detector said: keys of files in which it found nothing, detections of the others."""

    clean: KeySet
    found: dict[bytes, Detection]


class DetectionCache:
    """What one detector said of files.

    Parameters
    ----------
    folder : str
        Where caches are.
    detector, version, config : str
        Which detector, as it is now.
    """

    def __init__(self, folder: str, detector: str, version: str, config: str) -> None:
        self._detector, self._version, self._config = detector, version, config
        name = blake3(encode([detector, version, config])).hexdigest(8)
        self._path = os.path.join(folder, "detections", f"{detector}-{name}")

    def load(self) -> Said:
        """Read it; what is damaged is as good as nothing."""
        try:
            with open(self._path, "rb") as stream:
                data = stream.read()
        except OSError:
            return Said(KeySet(), {})
        if xxhash.xxh3_64_digest(memoryview(data)[8:]) != data[:8]:
            return Said(KeySet(), {})
        try:
            who, keys, rows = msgspec.msgpack.decode(data[8:], type=_Body)
            found = {key: decode_detection(each) for key, each in rows}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, MalformedInputError):
            return Said(KeySet(), {})
        if len(keys) % _KEY_BYTES:
            return Said(KeySet(), {})
        # A file that was renamed is that of another detector, or of another version.
        own = (self._detector, self._version, self._config)
        if any(each != own for each in (who, *((d.detector, d.version, d.config) for d in found.values()))):
            return Said(KeySet(), {})
        return Said(KeySet(keys), found)

    def save(self, said: Said) -> None:
        """Write it; that the disk is full only costs the time to look again."""
        rows = [(key, encode_detection(each)) for key, each in sorted(said.found.items())]
        own = (self._detector, self._version, self._config)
        body = encode([own, b"".join(sorted(said.clean)), rows])
        cache_files.keep(self._path, xxhash.xxh3_64_digest(body) + body)


def is_plain(detection: Detection) -> bool:
    """Whether all that is to be kept of a detection is that it is clean."""
    return detection.status is DetectionStatus.CLEAN and not detection.measures and not detection.reason


def take_in(said: Said, news: Mapping[bytes, Detection]) -> None:
    """Add what a detector said."""
    for key, detection in news.items():
        if is_plain(detection):
            said.clean.add(key)
        else:
            said.found[key] = detection


__all__ = ["DetectionCache", "KeySet", "Said", "is_plain", "take_in"]
