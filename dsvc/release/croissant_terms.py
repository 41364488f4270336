"""Terms of Croissant 1.1: its context, media types of files, and types of columns."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from dsvc.model.table_kind import Compression, TableFormat
from dsvc.release.facts import FileKind, ReleasedFile

CONFORMS_TO: Final = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_TABLES: Final = {
    TableFormat.CSV: "text/csv",
    TableFormat.TSV: "text/tab-separated-values",
    TableFormat.JSONL: "application/jsonlines",
    TableFormat.JSON: "application/json",
    TableFormat.PARQUET: "application/x-parquet",
    TableFormat.ARROW: "application/vnd.apache.arrow.file",
}
_COMPRESSIONS: Final = {Compression.GZIP: "application/gzip", Compression.ZSTD: "application/zstd"}
_READABLE: Final = frozenset({TableFormat.CSV, TableFormat.TSV, TableFormat.JSONL, TableFormat.PARQUET})
# Of our own: the list that Python brings differs between its versions, and with files of the system.
_BY_SUFFIX: Final = {
    b"bmp": "image/bmp",
    b"flac": "audio/flac",
    b"gif": "image/gif",
    b"gz": "application/gzip",
    b"html": "text/html",
    b"jpeg": "image/jpeg",
    b"jpg": "image/jpeg",
    b"json": "application/json",
    b"md": "text/markdown",
    b"mp3": "audio/mpeg",
    b"mp4": "video/mp4",
    b"npy": "application/x-npy",
    b"pdf": "application/pdf",
    b"png": "image/png",
    b"tar": "application/x-tar",
    b"tif": "image/tiff",
    b"tiff": "image/tiff",
    b"txt": "text/plain",
    b"wav": "audio/wav",
    b"webp": "image/webp",
    b"xml": "application/xml",
    b"zip": "application/zip",
    b"zst": "application/zstd",
}


def media_types(file: ReleasedFile) -> list[str]:
    """Media types of a file; of a compressed table that of the table first."""
    if file.table is not None:
        found = [_TABLES[file.table.format]]
        return found + [_COMPRESSIONS[each] for each in (file.table.compression,) if each in _COMPRESSIONS]
    suffix = file.path.rpartition(b"/")[2].rpartition(b".")[2].lower()
    fallback = "text/plain" if file.kind is FileKind.TEXT else "application/octet-stream"
    return [_BY_SUFFIX.get(suffix, fallback)]


def has_readable_rows(file: ReleasedFile) -> bool:
    """Whether a reader of Croissant can read its rows as what they are."""
    table = file.table
    return (
        table is not None
        and table.plain
        and table.format in _READABLE
        and table.compression in (Compression.NONE, Compression.GZIP)
    )


def is_taken_for_dates(column: str, format_: TableFormat) -> bool:
    """Whether pandas, with which loaders read JSON lines, makes dates of a column for its name alone.

    Declared as what it is, it would make all rows of the table unreadable.
    """
    return format_ is TableFormat.JSONL and _TAKEN_FOR_DATES.fullmatch(column) is not None


class FieldType(NamedTuple):
    """Type of a field: a term, and whether its values are lists of it."""

    term: str
    is_list: bool = False


_TERMS: Final = {
    "bool": "sc:Boolean",
    "date32": "sc:Date",
    "date64": "sc:Date",
    "double": "cr:Float64",
    "float": "cr:Float32",
    "halffloat": "cr:Float16",
    "large_string": "sc:Text",
    "string": "sc:Text",
    "string_view": "sc:Text",
    "timestamp": "sc:DateTime",
    **{f"int{bits}": f"cr:Int{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"cr:UInt{bits}" for bits in (8, 16, 32, 64)},
}
_NUMBERS_IN_TEXT: Final = {"int64": "sc:Integer", "double": "sc:Float"}
_TAKEN_FOR_DATES: Final = re.compile(r"(?i).*(?:_at|_time)|modified|date|datetime|timestamp.*", re.DOTALL)
_DICTIONARY: Final = re.compile(r"dictionary<values=(\w+), .*>")
_LIST: Final = re.compile(
    r"(?:large_|fixed_size_)?list<(?:(?:item|element): )?(\w+)(?: not null)?>(?:\[\d+\])?"
)


def field_type(column: str, format_: TableFormat = TableFormat.PARQUET) -> FieldType | None:
    """Type of a column in Croissant's terms; None for what it can't say, such as a struct or a decimal.

    A decimal is no floating-point number, and a list whose elements may be anything no list of texts: better
    nothing than something wrong. Numbers in text have no width.
    """
    if format_.is_text and column in _NUMBERS_IN_TEXT:
        return FieldType(_NUMBERS_IN_TEXT[column])
    inner = _LIST.fullmatch(column)
    if inner is not None:
        term = _TERMS.get(inner[1])
        return None if term is None else FieldType(term, True)
    dictionary = _DICTIONARY.fullmatch(column)
    name = dictionary[1] if dictionary is not None else column.partition("[")[0]
    term = _TERMS.get(name)
    return None if term is None else FieldType(term)
