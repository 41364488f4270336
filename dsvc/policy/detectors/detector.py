"""What a detector is: it looks at the bytes of one file, or at tables together, and says what it found.

A detector reads no clock, no network and no setting: what it says follows from its version, its configuration
and its input, so that it can be kept and checked again. One that is absent says so by an error; what it would
have said is then unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple, Protocol, Self

from blake3 import blake3

from dsvc.model.detection import Detection
from dsvc.model.encoding import encode
from dsvc.model.errors import PolicyIncompleteError
from dsvc.model.manifest import Entry
from dsvc.model.table_kind import HEAD_BYTES, TableKind, kind_by_name, recognise
from dsvc.table.origin.source import NotATableError, TableSource
from dsvc.table.roles import TableRule


class DetectorUnavailableError(PolicyIncompleteError):
    """A detector can't run here: a package that it stands on is not installed."""

    code = "detector-unavailable"


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A file to be looked at.

    Attributes
    ----------
    path : bytes
        Its path; of it, only what the name says of the format plays a part.
    source : TableSource
        Its bytes.
    kind : TableKind or None
        What kind of table it is, None where it is none.
    rule : TableRule
        Key and column roles that ``dsvc.toml`` declares.
    """

    path: bytes
    source: TableSource
    kind: TableKind | None = None
    rule: TableRule = field(default_factory=TableRule)

    @classmethod
    def of(cls, path: bytes, source: TableSource, rule: TableRule | None = None) -> Self:
        """Tell from the name and the first bytes what kind of table it is."""
        with source.open() as stream:
            kind = recognise(path, stream.read(HEAD_BYTES))
        return cls(path, source, kind, rule or TableRule())

    @property
    def name(self) -> str:
        """Name for messages."""
        return self.source.name

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.source.size

    @property
    def digest(self) -> bytes:
        """BLAKE3-256 of the bytes."""
        return self.source.digest

    def open(self) -> BinaryIO:
        """Open the bytes as a new seekable stream, closed by the caller."""
        return self.source.open()


@dataclass(frozen=True, slots=True)
class ScannedTable(ScannedFile):
    """A file that is a table, or should be one."""

    @property
    def table(self) -> TableKind:
        """What kind of table it is.

        Raises
        ------
        NotATableError
            If it is none.
        """
        if self.kind is None:
            raise NotATableError(f"{self.name} is not a table", details={"path": self.name})
        return self.kind


class FileDetector(Protocol):
    """Looks at one file at a time."""

    @property
    def name(self) -> str:
        """Stable name."""

    def version(self) -> str:
        """Version of the detector and of the libraries that it stands on.

        Raises
        ------
        DetectorUnavailableError
            If one of these is not installed, naming the extra that brings it.
        """

    def config(self) -> Mapping[str, str]:
        """What else its answers follow from."""

    def scan(self, file: ScannedFile) -> Detection:
        """Look at a file; one that can't be read gives an unknown detection.

        Raises
        ------
        DetectorUnavailableError
            As `version`.
        DsvcError
            If the bytes can't be had: they are missing or damaged in the store.
        """


class SetDetector(Protocol):
    """Looks at tables together."""

    @property
    def name(self) -> str:
        """Stable name."""

    def version(self) -> str:
        """As `FileDetector.version`."""

    def config(self) -> Mapping[str, str]:
        """As `FileDetector.config`."""

    def scan(self, files: Sequence[ScannedTable], options: Mapping[str, str]) -> Detection:
        """Look at tables; `options` are columns by their role, and what else is asked for.

        Raises
        ------
        DetectorUnavailableError, DsvcError
            As `FileDetector.scan`.
        """


class Wanted(NamedTuple):
    """A detection that a rule asks for.

    Attributes
    ----------
    detector : str
        Name of the detector.
    entries : tuple of Entry
        Files it shall look at: one for a `FileDetector`.
    options : tuple of (str, str)
        What else it is told, sorted by name.
    """

    detector: str
    entries: tuple[Entry, ...]
    options: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> bytes:
        """Key of the input; that of the detection which answers it."""
        return input_key(
            self.detector, [(entry.path, entry.digest) for entry in self.entries], dict(self.options)
        )


def input_key(
    detector: str, files: Iterable[tuple[bytes, bytes]], options: Mapping[str, str] | None = None
) -> bytes:
    """Name an input by its content.

    One file is known by its bytes and by the format or ending of its name, so that one moved elsewhere is not
    looked at again; several also by their paths, which tell them apart in the answer.

    Parameters
    ----------
    files : iterable of (bytes, bytes)
        Paths and digests, in order.
    """
    given = list(files)
    named = [[path if len(given) > 1 else promised(path), digest] for path, digest in given]
    data = encode(["dsvc v1 detection input", detector, named, sorted((options or {}).items())])
    return blake3(data).digest()


def promised(path: bytes) -> bytes:
    """Name the format that a file's name promises, its ending where that is no format of tables."""
    kind = kind_by_name(path)
    if kind is not None:
        return f"{kind.format}:{kind.compression}".encode()
    _, dot, ending = path.rpartition(b"/")[2].rpartition(b".")
    return ending.lower() if dot else b""


def config_digest(config: Mapping[str, str]) -> str:
    """Hex digest of a configuration."""
    return blake3(encode(["dsvc v1 detector configuration", sorted(config.items())])).hexdigest()
