"""What a reader of result files is, what it gives, and how much it reads at most.

A reader never imports the tool whose files it reads, and takes nothing on trust: what it can't read, it
refuses with the place. JSON is read by `dsvc.feedback.importers.json_document`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Final, NamedTuple, Protocol

from dsvc.model.errors import MalformedInputError, UsageError
from dsvc.model.feedback import EvaluationRun, Metric, Sample

HEAD_BYTES: Final = 64 << 10
"""What `Importer.recognises` is shown of a file."""
MAX_DOCUMENT_BYTES: Final = 256 << 20
"""One JSON or XML document; files of lines have no limit."""
MAX_LINE_BYTES: Final = 16 << 20
MAX_DEPTH: Final = 100
"""Arrays and objects inside each other."""
MAX_SAMPLES: Final = 10_000_000
MAX_SHOWN: Final = 200
"""Characters of a file that a message shows."""

OpenFile = Callable[[], BinaryIO]
"""Opens a file anew, at its beginning."""


class FeedbackMalformedError(MalformedInputError):
    """A result file can't be read as what it seems to be; the message says where."""

    code = "malformed-feedback"


class UnknownFeedbackFormatError(UsageError):
    """No reader knows the file, or there is no reader of that name."""

    code = "unknown-feedback-format"


class Companion(NamedTuple):
    """A file that stands beside the imported one and may belong to it."""

    name: str
    open_file: OpenFile


class ImportOptions(NamedTuple):
    """What the caller says besides the file.

    Attributes
    ----------
    columns : mapping of str to str
        For CSV and JSON Lines: the column that holds a field, where it has another name.
    companions : tuple of Companion
        Files beside the imported one; lm-evaluation-harness writes metrics and samples apart.
    file_name : str
        Last part of the file's path, for formats that say something in it.
    """

    columns: Mapping[str, str] = {}
    companions: tuple[Companion, ...] = ()
    file_name: str = ""


class Imported(NamedTuple):
    """What a result file says.

    Attributes
    ----------
    run : EvaluationRun
    metrics : tuple of Metric
    samples : iterator of Sample
        To be read once. Files are opened while it is read and closed when it ends or is closed; what is
        malformed further on is raised from it.
    """

    run: EvaluationRun
    metrics: tuple[Metric, ...]
    samples: Iterator[Sample]


class Importer(Protocol):
    """Reads the files of one tool."""

    @property
    def name(self) -> str:
        """What ``--format`` calls it."""

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether this is a file of the tool.

        Parameters
        ----------
        head : bytes
            The first `HEAD_BYTES` of the file; decides.
        file_name : str
            Only settles what the content leaves open.
        """

    def read(self, open_file: OpenFile, options: ImportOptions) -> Imported:
        """Read a file.

        Raises
        ------
        FeedbackMalformedError
            If it is not one of the tool, or damaged, or beyond a limit.
        """


def malformed(
    place: str, what: str, shown: object = None, *, hint: str | None = None
) -> FeedbackMalformedError:
    """Make the error of something that can't be read.

    Parameters
    ----------
    place : str
        Where: ``line 7``, or a JSON pointer; empty for the file as a whole.
    what : str
        What is wrong with it.
    shown : object
        Content to show, at most `MAX_SHOWN` characters of it.
    """
    if len(place) > MAX_SHOWN:
        place = f"{place[: MAX_SHOWN // 2]}…{place[-MAX_SHOWN // 2 :]}"
    text = f"{place}: {what}" if place else what
    if shown is not None:
        text += f": {excerpt(shown)}"
    return FeedbackMalformedError(text, hint=hint, details={"place": place} if place else None)


def excerpt(value: object) -> str:
    """Write a value for a message, cut to `MAX_SHOWN` characters."""
    if isinstance(value, str):
        return _shown(repr(value[:MAX_SHOWN]))
    if isinstance(value, (list, dict)):
        return "an array" if isinstance(value, list) else "an object"
    if isinstance(value, int) and value.bit_length() > 64:
        return "an integer of more than 64 bits"
    return _shown(repr(value))


def _shown(text: str) -> str:
    """Cut a text to `MAX_SHOWN` characters that can be encoded."""
    return text[:MAX_SHOWN].encode("utf-8", "replace").decode("utf-8")


def counted(samples: Iterator[Sample]) -> Iterator[Sample]:
    """Give samples on, and refuse more than `MAX_SAMPLES`.

    Raises
    ------
    FeedbackMalformedError
        If there are more.
    """
    for number, sample in enumerate(samples):
        if number >= MAX_SAMPLES:
            raise malformed(sample.pointer, f"more than {MAX_SAMPLES} samples")
        yield sample
