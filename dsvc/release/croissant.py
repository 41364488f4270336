"""A release as Croissant 1.1, JSON-LD that data loaders read: files with digests, tables with their columns.

Files whose SHA-256 is known are named one by one, so that a loader checks what it reads; of all others their
folders, and in a record set of its own the BLAKE3-256 of each.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Final
from urllib.parse import quote

from dsvc.lineage.license_text import check_license, licenses_of, spdx_ids
from dsvc.lineage.source_fields import UNDETERMINED
from dsvc.model.paths import display_path
from dsvc.release.croissant_provenance import provenance, responsible_ai
from dsvc.release.croissant_terms import (
    CONFORMS_TO,
    CONTEXT,
    FieldType,
    field_type,
    has_readable_rows,
    is_taken_for_dates,
    media_types,
)
from dsvc.release.facts import Column, ReleasedFile, ReleaseFacts
from dsvc.release.facts_codec import canonical
from dsvc.release.json_text import Json, canonical_json, is_utf8, path_keys, without_empty

LISTED: Final = "listed-files"
"""Id of the record set with the digests of files that are not named one by one."""
_PERSON: Final = re.compile(r"\s*(.*?)\s*<([^<>\s]+)>\s*")
_VERSION: Final = re.compile(r"v?((?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){0,2}(?:-[0-9A-Za-z.-]+)?)")
_SPDX: Final = "https://spdx.org/licenses/{}.html"
_NO_IRI: Final = re.compile(r"[^\w.-]")
_GLOB: Final = re.compile(r"([*?\[])")


def croissant(facts: ReleaseFacts) -> bytes:
    """Write a release as Croissant.

    Paths of files are relative to the folder that this is laid into.

    Raises
    ------
    FactsMalformedError
        If the facts are not such as can be kept.
    LicenseExpressionError
        If the licence can't be parsed.
    """
    return canonical_json(_document(canonical(facts)), indent=1)


def _document(facts: ReleaseFacts) -> Json:
    named = [file for file in facts.files if file.sha256 is not None]
    listed = [file for file in facts.files if file.sha256 is None]
    about = without_empty(
        {
            "alternateName": facts.title and facts.name,
            "isBasedOn": None
            if facts.since is None
            else f"dsvc:release/{quote(facts.since.release, safe='')}",
            "inLanguage": sorted({word for each in facts.lineage.sources for word in each.texts("language")}),
            "distribution": [*map(_file_object, named), *_file_sets(listed)],
            "recordSet": [
                *(_record_set(file) for file in named if _described(file)),
                *([_listing(listed)] if listed else []),
            ],
        }
    )
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": facts.title or facts.name,
        "description": _description(facts),
        "license": _licence(facts.licence),
        "url": facts.url or f"dsvc://{quote(facts.name, safe='')}/",
        "identifier": f"dsvc:manifest/{facts.manifest}",
        "creator": _person(facts.author),
        "datePublished": facts.created_at,
        "version": _version(facts.name),
        "citeAs": _citation(facts),
        "isLiveDataset": False,
        **about,
        **provenance(facts),
        **responsible_ai(facts),
    }


def _description(facts: ReleaseFacts) -> str:
    text = facts.description or facts.notes
    counts = f"{len(facts.files)} files, {facts.size} bytes, {facts.rows} rows of tables."
    return f"{text}\n\n{counts}" if text else counts


def _licence(expression: str) -> str | list[str]:
    """Name the licences by where their texts stand; an expression that leaves a choice stays one."""
    if expression == UNDETERMINED or not expression.strip():
        return UNDETERMINED
    if " OR " in expression or " WITH " in expression:
        return expression
    known = spdx_ids()
    names = dict.fromkeys(licenses_of(check_license(expression)))
    found = [_SPDX.format(each) if each in known else each for each in names]
    return found[0] if len(found) == 1 else found


def _person(author: str) -> Json:
    match = _PERSON.fullmatch(author)
    if match is None:
        return {"@type": "sc:Person", "name": author}
    return {"@type": "sc:Person", "name": match[1] or match[2], "email": match[2]}


def _version(name: str) -> str:
    match = _VERSION.fullmatch(name)
    return match[1] if match is not None else name


def _citation(facts: ReleaseFacts) -> str:
    author = _person(facts.author)["name"]
    title = facts.title or facts.name
    return f"{author}: {title}, release {facts.name}, {facts.created_at[:10]}, dsvc manifest {facts.manifest}"


# Files


def _quoted(path: bytes) -> str:
    """Write a path so that it can be an id, and can be told from it: letters stay, a slash too."""
    return _iri(display_path(path), "/") if is_utf8(path) else quote(path, safe="/")


def _iri(text: str, safe: str = "") -> str:
    return _NO_IRI.sub(lambda match: match[0] if match[0] in safe else quote(match[0], safe=""), text)


def file_id(path: bytes) -> str:
    """Id of a file, as in ``mapping`` of mlcroissant."""
    return f"files/{_quoted(path)}"


def record_set_id(path: bytes) -> str:
    """Id of the record set of a table."""
    return f"rows/{_quoted(path)}"


def field_id(path: bytes, column: str) -> str:
    """Id of a field: the key of its values in records."""
    return f"{record_set_id(path)}#{_iri(column)}"


def _file_object(file: ReleasedFile) -> Json:
    types = media_types(file)
    # A path, not a URL: loaders join it to the folder as it is.
    names = path_keys(file.path, "contentUrl")
    return without_empty(
        {
            "@type": "cr:FileObject",
            "@id": file_id(file.path),
            "name": display_path(file.path.rpartition(b"/")[2]),
            "contentUrl": names["contentUrl"],
            "cr:path_b64": names.get("contentUrl_b64"),
            "contentSize": f"{file.size} B",
            "encodingFormat": types[0] if len(types) == 1 else types,
            "sha256": file.sha256,
            "identifier": f"blake3:{file.blake3}",
            "description": _undescribed(file),
        }
    )


def _undescribed(file: ReleasedFile) -> str | None:
    """Say of a table without a record set what it holds."""
    table = file.table
    if table is None or _described(file):
        return None
    columns = ", ".join(f"{each.name} ({each.type})" for each in table.columns)
    rows = "rows not counted" if table.rows is None else f"{table.rows} rows"
    return f"Table, {rows}" + (f": {columns}" if columns else "")


def _file_sets(files: list[ReleasedFile]) -> list[Json]:
    """Folders of files, a set for each media type and suffix; of a name without suffix the name itself."""
    found: dict[tuple[bytes, bytes, str], list[ReleasedFile]] = defaultdict(list)
    for file in files:
        folder, _, name = file.path.rpartition(b"/")
        stem, dot, suffix = name.rpartition(b".")
        pattern = b"*." + suffix if stem and dot else name
        found[folder, pattern, media_types(file)[0]].append(file)
    return [
        {
            "@type": "cr:FileSet",
            "@id": f"sets/{_quoted(folder)}/{quote(pattern, safe='')}/{quote(kind, safe='')}",
            "name": display_path(folder + b"/" + pattern if folder else pattern),
            "encodingFormat": kind,
            "includes": _glob(folder, pattern),
            "description": f"{len(each)} files, {sum(file.size for file in each)} bytes",
        }
        for (folder, pattern, kind), each in sorted(found.items())
    ]


def _glob(folder: bytes, pattern: bytes) -> str:
    star = pattern.startswith(b"*.")
    exact = _GLOB.sub(r"[\1]", display_path(pattern[1:] if star else pattern))
    prefix = _GLOB.sub(r"[\1]", display_path(folder)) + "/" if folder else ""
    return prefix + ("*" if star else "") + exact


# Rows


def _described(file: ReleasedFile) -> list[tuple[Column, FieldType]]:
    """Columns that a loader can read as what they are; none where it can't read the rows at all.

    Of columns with one name loaders know one only; what they know as another type is not said at all.
    """
    table = file.table
    if table is None or not has_readable_rows(file):
        return []
    several = Counter(each.name for each in table.columns)
    typed = (
        (each, field_type(each.type, table.format))
        for each in table.columns
        if several[each.name] == 1 and not is_taken_for_dates(each.name, table.format)
    )
    return [(column, kind) for column, kind in typed if kind is not None]


def _record_set(file: ReleasedFile) -> Json:
    described = _described(file)
    known = {column.name for column, _ in described}
    columns = file.table.columns if file.table is not None else ()
    rest = [f"{each.name} ({each.type})" for each in columns if each.name not in known]
    notes = [] if file.rows is None else [f"{file.rows} rows"]
    if rest:
        notes.append("columns that are not described: " + ", ".join(rest))
    return without_empty(
        {
            "@type": "cr:RecordSet",
            "@id": record_set_id(file.path),
            "name": display_path(file.path),
            "description": "; ".join(notes),
            "field": [_field(file.path, column, kind) for column, kind in described],
        }
    )


def _field(path: bytes, column: Column, kind: FieldType) -> Json:
    found: Json = {
        "@type": "cr:Field",
        "@id": field_id(path, column.name),
        "name": column.name,
        "dataType": kind.term,
        "source": {"fileObject": {"@id": file_id(path)}, "extract": {"column": column.name}},
    }
    if kind.is_list:
        found |= {"isArray": True, "arrayShape": "-1"}
    return found


def _listing(files: list[ReleasedFile]) -> Json:
    """Name files that are not named one by one, with their digests."""
    fields = {"path": "sc:Text", "quoted": "sc:Text", "size": "cr:Int64", "blake3": "sc:Text"}
    return {
        "@type": "cr:RecordSet",
        "@id": LISTED,
        "name": LISTED,
        "description": f"{len(files)} files that are in sets, with the BLAKE3-256 of each",
        "field": [
            {"@type": "cr:Field", "@id": f"{LISTED}#{name}", "name": name, "dataType": kind}
            for name, kind in fields.items()
        ],
        "data": [
            {
                f"{LISTED}#path": display_path(file.path),
                f"{LISTED}#quoted": _quoted(file.path),
                f"{LISTED}#size": file.size,
                f"{LISTED}#blake3": file.blake3,
            }
            for file in files
        ],
    }
