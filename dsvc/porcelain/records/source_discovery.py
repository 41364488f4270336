"""What dsvc finds out by itself about the files that a source attests: formats, encodings, rows, columns.

Counted are all files, by what their entries say. Looked into are at most `MAX_LOOKS` texts, those that
changed first, of each the first 64 KiB, and as many first bytes of other files.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.lineage.coverage import holds_bytes
from dsvc.model.errors import DsvcError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry, Kind, decode_schema
from dsvc.model.paths import display_path
from dsvc.model.table_kind import HEAD_BYTES, Compression, TableFormat, TableKind, kind_by_name, recognise
from dsvc.porcelain.records.code_in_data import loads_code, loads_code_by_name
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.read import StoredFile
from dsvc.store.manifest_tree import EMPTY_ROOT
from dsvc.table.origin.source import NotATableError
from dsvc.table.text.dialect import SAMPLE_BYTES, sniff

MAX_LOOKS: Final = 100
MAX_FORMATS: Final = 100
MAX_COLUMNS: Final = 500
OTHER: Final = "other"
_PLAIN: Final = TableKind(TableFormat.TSV)
_SUFFIX: Final = re.compile(rb"[a-z0-9]{1,10}")
_GENERIC: Final = {Kind.BINARY: "binary", Kind.TEXT: "text", Kind.IMAGE: "image", Kind.TABLE: "table"}
_IMAGE_NAMES: Final = {"jpg": "jpeg", "jpe": "jpeg", "tif": "tiff", "heif": "heic"}
_IMAGES: Final = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"\0\0\1\0", "ico"),
    (b"RIFF", "webp"),
)
_BRANDS: Final = {b"avif": "avif", b"heic": "heic", b"heix": "heic", b"mif1": "heic"}


def discover(repo: Workspace, files: NodeId, before: NodeId = EMPTY_ROOT) -> dict[str, str]:
    """Find out what attested files are.

    Parameters
    ----------
    files : NodeId
        Their manifest; what it names is stored.
    before : NodeId
        Manifest of what was attested before.

    Returns
    -------
    dict of str to str
        ``format.NAME`` and ``encoding.NAME``: how many files; ``loads_code.NAME``: how many of a format that
        runs code where it is loaded, such as ``pickle``, none of which is loaded here; ``rows`` of all
        tables; ``columns`` of those whose entries name them (Parquet, Arrow), ``column.NAME``: its types.
        Encodings are counted of the files that were looked into.
    """
    names: Counter[tuple[int, bytes]] = Counter()
    schemas: set[bytes] = set()
    rows: int | None = None
    for entry in repo.manifest(files).entries():
        if holds_bytes(entry):
            names[entry.kind, _suffixes(entry)] += 1
            if entry.schema is not None:
                schemas.add(entry.schema)
            if entry.rows is not None:
                rows = (rows or 0) + entry.rows
    formats: Counter[str] = Counter()
    for (kind, suffixes), count in names.items():
        formats[_named(Kind(kind), suffixes)] += count
    encodings = _look_into(repo, files, before, formats)
    code = _code_in(repo, files, before, names)
    return {
        **{f"format.{name}": str(count) for name, count in _most(formats).items()},
        **{f"encoding.{name}": str(count) for name, count in encodings.items()},
        **{f"loads_code.{name}": str(count) for name, count in sorted(code.items())},
        **({} if rows is None else {"rows": str(rows)}),
        **_columns(schemas),
    }


def _suffixes(entry: Entry) -> bytes:
    """What a name tells of the format: its last suffix, of a table those that its kind is known by."""
    parts = entry.path.rpartition(b"/")[2].lower().split(b".")[1:]
    kept = parts[-2:] if entry.kind == Kind.TABLE else parts[-1:]
    return b".".join(part for part in kept if _SUFFIX.fullmatch(part))


def _named(kind: Kind, suffixes: bytes) -> str:
    """Tell a format by name, within what the first bytes have told."""
    if kind is Kind.TABLE:
        table = kind_by_name(b"x." + suffixes)
        return "parquet" if table is None and suffixes.endswith(b"parquet") else _table(table)
    name = suffixes.decode()
    return _IMAGE_NAMES.get(name, name) or _GENERIC[kind]


def _table(kind: TableKind | None) -> str:
    if kind is None:
        return _GENERIC[Kind.TABLE]
    plain = kind.compression is Compression.NONE
    return kind.format.value if plain else f"{kind.format.value}+{kind.compression.value}"


def _most(formats: Counter[str]) -> dict[str, int]:
    """Formats by name; where names are arbitrary the rarest are taken together."""
    found = sorted(((name, count) for name, count in formats.items() if count), key=lambda each: -each[1])
    kept = Counter(dict(found[:MAX_FORMATS]))
    rest = sum(count for _, count in found[MAX_FORMATS:])
    if rest:
        kept[OTHER] += rest
    return kept


def _columns(schemas: Iterable[bytes]) -> dict[str, str]:
    types: dict[str, set[str]] = {}
    for schema in schemas:
        try:
            for name, type_ in decode_schema(schema):
                types.setdefault(name, set()).add(type_)
        except DsvcError:
            continue
    if not types:
        return {}
    listed = {f"column.{name}": " | ".join(sorted(types[name])) for name in sorted(types)[:MAX_COLUMNS]}
    return {"columns": str(len(types)), **listed}


# Looking into files


def _look_into(repo: Workspace, files: NodeId, before: NodeId, formats: Counter[str]) -> Counter[str]:
    """Count encodings, and correct the formats that names had wrong."""
    encodings: Counter[str] = Counter()
    left = {True: MAX_LOOKS, False: MAX_LOOKS}
    for entry in filter(_tells, _changed_first(repo, files, before)):
        is_text = _is_text(entry)
        if not left[is_text]:
            continue
        left[is_text] -= 1
        try:
            with io.BufferedReader(StoredFile(repo.store, entry), SAMPLE_BYTES) as stream:
                head = stream.read(SAMPLE_BYTES if is_text else HEAD_BYTES)
        except DsvcError:
            continue  # what is missing or damaged is for fsck to say
        named = _named(Kind(entry.kind), _suffixes(entry))
        formats[named] -= 1
        formats[_seen(entry, head, named)] += 1
        if is_text:
            encodings[_encoding(entry, head)] += 1
        if not any(left.values()):
            break
    return encodings


def _code_in(
    repo: Workspace, files: NodeId, before: NodeId, names: Counter[tuple[int, bytes]]
) -> Counter[str]:
    """Count files that run code where a program loads them."""
    found: Counter[str] = Counter()
    for (_, suffixes), count in names.items():
        named = loads_code_by_name(suffixes)
        if named is not None:
            found[named] += count
    binary = (
        entry
        for entry in _changed_first(repo, files, before)
        if entry.kind == Kind.BINARY and entry.is_file and not loads_code_by_name(_suffixes(entry))
    )
    for entry in islice(binary, MAX_LOOKS):
        try:
            with io.BufferedReader(StoredFile(repo.store, entry), SAMPLE_BYTES) as stream:
                named = loads_code(stream.read(HEAD_BYTES))
        except DsvcError:
            continue  # as above
        if named is not None:
            found[named] += 1
    return found


def _changed_first(repo: Workspace, files: NodeId, before: NodeId) -> Iterator[Entry]:
    """All entries: those that changed, then the others."""
    now = repo.manifest(files)
    changed = set()
    for change in diff_manifests(repo.manifest(before), now):
        if change.new is not None:
            changed.add(change.path)
            yield change.new
    yield from (entry for entry in now.entries() if entry.path not in changed)


def _tells(entry: Entry) -> bool:
    return entry.is_file and entry.size > 0 and entry.kind != Kind.BINARY


def _is_text(entry: Entry) -> bool:
    if entry.kind == Kind.TABLE:
        kind = kind_by_name(entry.path)
        return kind is not None and kind.is_plain_text
    return entry.kind == Kind.TEXT


def _seen(entry: Entry, head: bytes, named: str) -> str:
    """Tell the format by the first bytes, where they tell more than the name."""
    if entry.kind == Kind.TABLE:
        table = recognise(entry.path, head[:HEAD_BYTES])
        return named if table is None else _table(table)
    if entry.kind == Kind.IMAGE:
        brand = _BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None
        return brand or next((name for magic, name in _IMAGES if head.startswith(magic)), named)
    return named


def _encoding(entry: Entry, head: bytes) -> str:
    try:
        dialect = sniff(head, _PLAIN, display_path(entry.path))
    except NotATableError:
        return OTHER
    return f"{dialect.encoding}-sig" if dialect.bom else dialect.encoding
