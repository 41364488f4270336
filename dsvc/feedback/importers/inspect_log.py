"""Logs of Inspect: one JSON document, or an archive with a member for each sample."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from dsvc.feedback.importers.importer import (
    HEAD_BYTES,
    Imported,
    ImportOptions,
    OpenFile,
    counted,
    malformed,
)
from dsvc.feedback.importers.inspect_archive import Archive
from dsvc.feedback.importers.inspect_header import TOOL, Header, read_header
from dsvc.feedback.importers.inspect_samples import read_samples
from dsvc.feedback.importers.json_document import Json, JsonObject, decode, read_document
from dsvc.feedback.importers.peek import key_paths
from dsvc.model.feedback import Sample

_HEADER: Final = "header.json"
_START: Final = "_journal/start.json"
_MEMBER: Final = re.compile(rb"PK\x03\x04.{26}(_journal/|header\.json|summaries\.json)", re.DOTALL)
_SAMPLE_MEMBER: Final = re.compile(r"samples/.*\.json", re.DOTALL)
_ZIP: Final = b"PK\x03\x04"
_OF_LOG: Final = frozenset({("version",), ("eval",), ("eval", "task")})
_ID: Final = "id"


class Inspect:
    """Reads logs of version 2, in both formats."""

    name: Final = TOOL

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether it is a log; an archive that shows no member of one must be called ``.eval``."""
        if head.startswith(_ZIP):
            return _MEMBER.search(head) is not None or file_name.endswith(".eval")
        return key_paths(head) >= _OF_LOG

    def read(self, open_file: OpenFile, options: ImportOptions) -> Imported:
        """Read a log; the rows of samples without a reference are found by the column of their ids.

        Raises
        ------
        FeedbackMalformedError
            If it is none, damaged or beyond a limit.
        """
        column = options.columns.get(_ID, _ID)
        with open_file() as stream:
            if stream.read(HEAD_BYTES).startswith(_ZIP):
                header = _header_of(Archive(stream))
                return Imported(header.run, header.metrics, counted(_archived(open_file, header, column)))
        with open_file() as stream:
            top = JsonObject(read_document(stream))
        header = read_header(dict(top.value))
        samples = ((each, f"/samples/{at}") for at, each in enumerate(top.array("samples")))
        return Imported(header.run, header.metrics, counted(read_samples(samples, header, column)))


def _header_of(archive: Archive) -> Header:
    """Read the header, or of an evaluation that was broken off what was written at its start."""
    for name in (_HEADER, _START):
        if name in archive.members:
            return read_header(decode(archive.read(name), name), name)
    raise malformed("", "no log of Inspect: the archive has no header.json")


def _archived(open_file: OpenFile, header: Header, column: str) -> Iterator[Sample]:
    with open_file() as stream:
        yield from read_samples(_documents(Archive(stream)), header, column)


def _documents(archive: Archive) -> Iterator[tuple[Json, str]]:
    for name in archive.members:
        if _SAMPLE_MEMBER.fullmatch(name):
            yield decode(archive.read(name), name), name
