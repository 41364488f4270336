"""Scrub: check a pack against itself, every byte of it accounted for.

Header, block headers, footer and trailer are compared always; stored bytes and ids only when data is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from dsvc.model.errors import CorruptDataError, DsvcError, MissingDataError
from dsvc.model.ids import PackId
from dsvc.store import block, pack
from dsvc.store.backend import Backend
from dsvc.store.block import BlockInfo, ItemType
from dsvc.store.chunk_store import check_id
from dsvc.store.defects import Defect
from dsvc.store.pack import Footer
from dsvc.store.prune import QUARANTINE, REPAIRED


class BadObject(NamedTuple):
    """An object whose bytes in a pack are wrong."""

    id: bytes
    length: int
    item_type: int


class _Row(NamedTuple):
    offset: int
    length: int
    item_type: int
    id: bytes


@dataclass(slots=True)
class PackReport:
    """What is wrong with one pack.

    Attributes
    ----------
    objects, bytes : int
        Rows of its footer, and its length.
    bad : list of BadObject
        Objects whose bytes are wrong here.
    """

    pack: PackId
    defects: list[Defect] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0
    bad: list[BadObject] = field(default_factory=list)

    def add(self, number: str, message: str, part: str = "") -> None:
        """Note a defect of the pack or of a part of it."""
        self.defects.append(Defect(id=number, object=f"pack:{self.pack.hex()}{part}", message=message))


def check_pack(backend: Backend, name: PackId, *, read_data: bool) -> PackReport:
    """Check a pack, and once more before anything is reported: a read may fail once and be right then."""
    report = _check_once(backend, name, read_data)
    if report.defects:
        backend.forget()
        report = _check_once(backend, name, read_data)
    return report


def _check_once(backend: Backend, name: PackId, read_data: bool) -> PackReport:
    report = PackReport(name)
    try:
        report.bytes = backend.size(name)
        footer = Footer(backend, name)
    except (CorruptDataError, MissingDataError) as error:
        report.add("F001", error.message)
        return report
    except DsvcError as error:
        report.add("F012", error.message)
        return report
    report.objects = footer.count
    if not footer.verify():
        report.add("F002", "the footer's hash is not the pack's name")
        return report
    try:
        if backend.read(name, 0, len(pack.HEADER)) != pack.HEADER:
            report.add("F003", "the header is not that of a pack")
        rows = _rows_by_block(footer, report)
        _check_blocks(backend, footer, rows, report, read_data)
    except DsvcError as error:
        report.add("F012", error.message)
    return report


def _rows_by_block(footer: Footer, report: PackReport) -> dict[int, list[_Row]]:
    rows: dict[int, list[_Row]] = {}
    before = b""
    for id_, place in footer.rows():
        if id_ <= before:
            report.add("F004", f"id {id_.hex()[:12]} is out of order")
        before = id_
        if place.item_type > max(ItemType):
            report.add("F005", f"object {id_.hex()[:12]} has the unknown type {place.item_type}")
        elif not place.erased:
            rows.setdefault(place.block, []).append(_Row(place.offset, place.length, place.item_type, id_))
    for number, items in rows.items():
        if number >= footer.blocks:
            report.add("F005", f"{len(items)} objects are placed in block {number}, which isn't there")
    return rows


def _check_blocks(
    backend: Backend, footer: Footer, rows: dict[int, list[_Row]], report: PackReport, read_data: bool
) -> None:
    position = len(pack.HEADER)
    end = report.bytes - pack.TRAILER.size - footer.length
    for number in range(footer.blocks):
        info = footer.block(number)
        header_length = block.HEADER.size + 4 * info.items
        if info.offset != position + header_length or info.offset + info.stored_length > end:
            report.add("F006", f"block {number} is not where the one before it ends", f":{number}")
            return
        items = sorted(rows.get(number, ()))
        if not _tiled(info, items):
            report.add("F005", f"the objects of block {number} don't fill it", f":{number}")
        length = header_length + (info.stored_length if read_data else 0)
        data = memoryview(backend.read(footer.pack, position, length))
        if data[:header_length] != _header(info, items):
            report.add("F007", f"the header of block {number} differs from the footer", f":{number}")
        if read_data:
            _check_data(info, items, data[header_length:], report, number)
        position = info.offset + info.stored_length
    if position != end:
        report.add("F006", "there are bytes between the last block and the footer")


def _tiled(info: BlockInfo, items: list[_Row]) -> bool:
    position = 0
    for item in items:
        if item.offset != position or item.length == 0:
            return False
        position += item.length
    return position == info.raw_length and len(items) == info.items


def _header(info: BlockInfo, items: list[_Row]) -> bytes:
    """The block header that fits the footer."""
    fixed = block.HEADER.pack(
        block.MAGIC, info.codec & 0xFF, 0, 0, info.items, info.raw_length, info.stored_length, info.xxh3
    )
    return fixed + struct.pack(f"<{len(items)}I", *(item.length | item.item_type << 24 for item in items))


def _check_data(
    info: BlockInfo, items: list[_Row], stored: memoryview, report: PackReport, number: int
) -> None:
    if block.stored_checksum([stored]) != info.xxh3:
        report.add("F008", f"the stored bytes of block {number} differ from their checksum", f":{number}")
    try:
        data = memoryview(block.decode(info, stored, f"block {number}"))
    except CorruptDataError as error:
        report.add("F009", error.message, f":{number}")
        report.bad.extend(BadObject(item.id, item.length, item.item_type) for item in items)
        return
    for offset, length, item_type, id_ in items:
        if not check_id(id_, data[offset : offset + length], item_type):
            report.bad.append(BadObject(id_, length, item_type))
            kind = ItemType(item_type)
            report.add(
                "F010" if kind is ItemType.CHUNK else "F011",
                f"{kind.name.lower()} {id_.hex()[:12]} has other bytes than its id says",
                f":{number}:{id_.hex()}",
            )


def check_packs(backend: Backend, *, read_data: bool) -> Iterator[PackReport]:
    """Check every pack, listed ones first, then those in the trash that repair did not put there."""
    for name in backend.list_packs():
        yield check_pack(backend, name, read_data=read_data)
    for run, names in backend.list_trash().items():
        for name in names if not run.startswith((QUARANTINE, REPAIRED)) else ():
            report = check_pack(backend, name, read_data=read_data)
            report.defects = [
                Defect(id=d.id, object=d.object, message=f"{d.message} (in the trash of run {run})")
                for d in report.defects
            ]
            yield report
