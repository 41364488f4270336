"""JUnit XML, read by expat as it comes: no document type, so no entities and nothing from elsewhere."""

from __future__ import annotations

from typing import BinaryIO, Final, NamedTuple
from xml.parsers import expat

from dsvc.feedback.importers.importer import (
    MAX_DEPTH,
    MAX_DOCUMENT_BYTES,
    MAX_LINE_BYTES,
    MAX_SAMPLES,
    FeedbackMalformedError,
    malformed,
)
from dsvc.feedback.importers.json_document import Json, bounded_extra

FAILURE: Final = "failure"
ERROR: Final = "error"
_SKIPPED: Final = "skipped"
_SUITES: Final = ("testsuites", "testsuite")
_CASE: Final = "testcase"
_NOT_RUN: Final = frozenset({"notrun", "skipped", "suppressed", "disabled"})
_SEVERITY: Final = (None, FAILURE, ERROR)
_COUNTS: Final = ("tests", "failures", "errors", "skipped")
_READ_BYTES: Final = 1 << 20
_MAX_TEXT: Final = 4096
_MAX_PROPERTIES: Final = 1000


class Case(NamedTuple):
    """A test case.

    Attributes
    ----------
    line : int
    name : str
    place : str
        Its class, or the suites it stands in.
    fault : str or None
        ``failure`` or ``error``.
    skipped : bool
    told, text : str
        Message and text of what is wrong, the beginning of it.
    properties : mapping of str to str
    """

    line: int
    name: str
    place: str
    fault: str | None
    skipped: bool
    told: str
    text: str
    properties: dict[str, str]


class Report(NamedTuple):
    """A report.

    Attributes
    ----------
    name : str or None
        Of the only suite, else of the whole.
    timestamp : str or None
        The first that a suite has.
    cases : list of Case
    extra : mapping of str to str
        Properties of suites, and counts of the outermost ones.
    """

    name: str | None
    timestamp: str | None
    cases: list[Case]
    extra: dict[str, str]


class _Reader:
    """What has been read so far; its methods are called by expat."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.EntityDeclHandler = self._doctype
        self.parser.ExternalEntityRefHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.open: list[str] = []
        self.suites: list[str] = []
        self.stamp: str | None = None
        self.names: list[str] = []
        self.extra: dict[str, Json] = {}
        self.cases: list[Case] = []
        self.case: Case | None = None

    def _refuse(self, what: str, shown: object = None) -> FeedbackMalformedError:
        return malformed(f"line {self.parser.CurrentLineNumber}", what, shown)

    def _doctype(self, *_: object) -> int:
        raise self._refuse("a document type, which a report of tests has not", None)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self.open) >= MAX_DEPTH:
            raise self._refuse(f"nested deeper than {MAX_DEPTH}")
        if not self.open and tag not in _SUITES:
            raise self._refuse("not a report of tests: its first element is another", tag)
        inside = self.open[-1] if self.open else ""
        self.open.append(tag)
        if tag in _SUITES:
            self._suite(tag, inside, attributes)
        elif tag == _CASE:
            if inside not in _SUITES:
                raise self._refuse("a test case outside of a suite")
            self._begin_case(attributes)
        elif self.case is None:
            if tag == "property" and inside == "properties" and len(self.extra) < _MAX_PROPERTIES:
                self.extra.setdefault(attributes.get("name", ""), attributes.get("value"))
        elif inside == _CASE:
            self._result(tag, attributes)
        elif tag == "property" and inside == "properties":
            self._property(attributes)

    def _suite(self, tag: str, inside: str, attributes: dict[str, str]) -> None:
        if inside and inside not in _SUITES:
            raise self._refuse("a suite inside something else", inside)
        name = attributes.get("name", "")
        if tag == "testsuite":
            self.names.append(name)
        self.suites.append(name if tag == "testsuite" else "")
        self.stamp = self.stamp or attributes.get("timestamp")
        if not inside or len(self.open) == 2:
            for count in _COUNTS:
                if count in attributes and not (tag == "testsuites" and len(self.open) > 1):
                    self.extra.setdefault(f"{name or tag}.{count}", attributes[count])

    def _begin_case(self, attributes: dict[str, str]) -> None:
        if len(self.cases) >= MAX_SAMPLES:
            raise self._refuse(f"more than {MAX_SAMPLES} test cases")
        name = attributes.get("name")
        if name is None:
            raise self._refuse("a test case without a name")
        states = {attributes.get("status", "").lower(), attributes.get("result", "").lower()}
        place = attributes.get("classname") or "::".join(each for each in self.suites if each)
        self.case = Case(
            self.parser.CurrentLineNumber, name, place, None, not states.isdisjoint(_NOT_RUN), "", "", {}
        )

    def _result(self, tag: str, attributes: dict[str, str]) -> None:
        """Take what came of the case; an error outweighs a failure, and either a mark that it was skipped."""
        case = self.case
        if case is None:
            return
        if tag == _SKIPPED and case.fault is None:
            self.case = case._replace(skipped=True, told=attributes.get("message", "")[:_MAX_TEXT])
        elif tag in (FAILURE, ERROR) and _SEVERITY.index(tag) > _SEVERITY.index(case.fault):
            told = attributes.get("message") or attributes.get("type") or ""
            self.case = case._replace(fault=tag, skipped=False, told=told[:_MAX_TEXT], text="")

    def _property(self, attributes: dict[str, str]) -> None:
        case, name = self.case, attributes.get("name")
        if case is None or name is None:
            return
        value = attributes.get("value", "")
        if case.properties.get(name, value) != value:
            raise self._refuse("a property that a test case has twice", name)
        if len(case.properties) >= _MAX_PROPERTIES:
            raise self._refuse(f"a test case of more than {_MAX_PROPERTIES} properties")
        case.properties[name] = value

    def _text(self, text: str) -> None:
        case = self.case
        if case is not None and case.fault == self.open[-1] and len(case.text) < _MAX_TEXT:
            self.case = case._replace(text=(case.text + text)[:_MAX_TEXT])

    def _end(self, tag: str) -> None:
        self.open.pop()
        if tag in _SUITES:
            self.suites.pop()
        elif tag == _CASE and self.case is not None:
            self.cases.append(self.case._replace(text=self.case.text.strip()))
            self.case = None


def read_report(stream: BinaryIO) -> Report:
    """Read a report.

    Raises
    ------
    FeedbackMalformedError
        If it is none, is not well-formed, has a document type, or is larger or deeper than is read.
    """
    reader = _Reader()
    left = MAX_DOCUMENT_BYTES
    try:
        while part := stream.read(_READ_BYTES):
            left -= len(part)
            if left < 0:
                raise malformed("", f"larger than {MAX_DOCUMENT_BYTES >> 20} MiB, which is not read")
            reader.parser.Parse(part, False)
            # Older versions of expat read what has no end yet from its beginning again, for every part.
            if MAX_DOCUMENT_BYTES - left - reader.parser.CurrentByteIndex > MAX_LINE_BYTES:
                raise malformed("", f"a tag or comment of more than {MAX_LINE_BYTES >> 20} MiB")
        reader.parser.Parse(b"", True)
    except expat.ExpatError as error:
        place = f"line {error.lineno}, column {error.offset}"
        raise malformed(place, f"not XML ({expat.ErrorString(error.code)})") from error
    except (ValueError, LookupError) as error:
        raise malformed("", "in an encoding that is not read", hint="write it in UTF-8") from error
    extra = {key: value for key, value in reader.extra.items() if key}
    names = reader.names
    return Report(names[0] if len(names) == 1 else None, reader.stamp, reader.cases, bounded_extra(extra))
