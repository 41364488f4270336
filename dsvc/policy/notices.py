"""The notice that goes with data: title, author and licence of each source that must be named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from dsvc.lineage.evidence import LICENCE_TEXT
from dsvc.lineage.license_text import check_license, licenses_of, spdx_ids
from dsvc.lineage.source_fields import UNDETERMINED
from dsvc.model.source_record import SourceRecord

_SPDX: Final = "https://spdx.org/licenses/{}.html"


class Notice(NamedTuple):
    """What is said of a source.

    Attributes
    ----------
    source, title : str
    holders : tuple of str
        Rightsholders, else who issued it.
    licence : str
        SPDX.
    url : str or None
        Where it was published.
    links : tuple of str
        Where the texts of its licences stand.
    texts : tuple of str
        BLAKE3-256 of the texts of licences that are kept as evidence, in hex.
    """

    source: str
    title: str
    holders: tuple[str, ...]
    licence: str
    url: str | None = None
    links: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """What it must say and doesn't: fields of the source."""
        found = []
        if not self.title.strip():
            found.append("title")
        if not self.holders:
            found.append("rightsholders or issuer")
        if self.licence == UNDETERMINED or not self.licence.strip():
            found.append("license_expression")
        return tuple(found)


def notice_of(record: SourceRecord) -> Notice:
    """Make the notice of a source.

    Raises
    ------
    LicenseExpressionError
        If its licence can't be parsed.
    """
    licences = licenses_of(check_license(record.license_expression))
    url = record.fields.get("url")
    return Notice(
        record.source_id,
        record.title,
        _holders(record),
        record.license_expression,
        str(url) if url else None,
        tuple(_SPDX.format(each) for each in licences if each in spdx_ids()),
        tuple(each.digest.hex() for each in record.evidence if each.type == LICENCE_TEXT),
    )


def _holders(record: SourceRecord) -> tuple[str, ...]:
    named = record.fields.get("rightsholders")
    holders = [str(each).strip() for each in named] if isinstance(named, list | tuple) else []
    issuer = str(record.fields.get("issuer", "")).strip()
    return tuple(each for each in holders if each) or ((issuer,) if issuer else ())


def notices(records: Iterable[SourceRecord]) -> list[Notice]:
    """Make the notices of sources, by id; raises as `notice_of`."""
    found = {notice_of(record): None for record in records}
    return sorted(found, key=lambda each: (each.source, each.title, each.licence, each.url or ""))


def notice_text(found: Sequence[Notice]) -> str:
    """Write notices as a text that goes with the data; the same notices give the same text.

    Of what is missing it says so.
    """
    blocks = []
    for each in found:
        lines = [each.title or f"[title of {each.source} missing]"]
        lines.append(f"  by {', '.join(each.holders) or '[rightsholder missing]'}")
        lines.append(f"  licence: {each.licence}")
        lines += [f"  {link}" for link in each.links]
        lines += [f"  text of the licence: blake3:{digest}" for digest in each.texts]
        if each.url:
            lines.append(f"  from {each.url}")
        blocks.append("\n".join([*lines, f"  source: {each.source}"]))
    return "\n\n".join(blocks) + "\n" if blocks else ""
