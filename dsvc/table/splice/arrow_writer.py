"""Write an Arrow file or stream that is made of rows and cells of others, with the settings of the first."""

from __future__ import annotations

import struct
from typing import BinaryIO, Final, cast

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ipc

from dsvc.table.binary.flatbuffer import FlatTable
from dsvc.table.origin.source import NotATableError
from dsvc.table.splice.columnar import Assembly, ColumnarDonor, part_sizes
from dsvc.table.splice.columnar_donors import ArrowDonor, open_assembly
from dsvc.table.splice.splice_plan import IncompatibleTablesError, Splice

_BATCH_ROWS: Final = 1 << 16
_FILE_HEAD: Final = 8
_HEADER_FIELD, _COMPRESSION_FIELD, _CODEC_FIELD = 2, 3, 0
_CODECS: Final = {0: "lz4", 1: "zstd"}


def splice_arrow(plan: Splice, output: BinaryIO) -> None:
    """Write the output of a plan whose first donor is an Arrow file or stream.

    Raises
    ------
    IncompatibleTablesError
        If donors don't go together.
    NotATableError
        If one can't be read.
    TableLimitError
        If one is beyond the limits.
    """
    with open_assembly(plan) as assembly:
        model = cast(ArrowDonor, assembly.donors[0])
        with plan.donors[0].source.open() as raw:
            options = _options(raw, model.is_stream)
        dictionaries = _dictionaries(assembly)
        sizes = part_sizes(plan.segments, model.part_rows, _BATCH_ROWS)
        sink = pa.PythonFile(output, "w")
        try:
            writer = (
                ipc.new_stream(sink, assembly.schema, options=options)
                if model.is_stream
                else ipc.new_file(sink, assembly.schema, options=options, **model.footer)
            )
            with writer:
                for table in assembly.tables(sizes):
                    writer.write_table(_with_dictionaries(table, dictionaries, model.name))
        except pa.ArrowException as error:
            raise IncompatibleTablesError(f"{model.name} can't be written: {error}") from error


def _options(raw: BinaryIO, is_stream: bool) -> ipc.IpcWriteOptions:
    raw.seek(0 if is_stream else _FILE_HEAD)
    version, compression = ipc.MetadataVersion.V5, None
    for message in ipc.MessageReader.open_stream(pa.PythonFile(raw, "r")):
        version = message.metadata_version
        if message.type == "record batch":
            compression = _compression(message.metadata.to_pybytes())
            break
    return ipc.IpcWriteOptions(metadata_version=version, compression=compression)


def _compression(metadata: bytes) -> str | None:
    """Codec of a record batch, from the flatbuffer that describes it; the reader doesn't tell."""
    try:
        header = FlatTable(metadata).table(_HEADER_FIELD)
        body = None if header is None else header.table(_COMPRESSION_FIELD)
        return None if body is None else _CODECS.get(body.integer(_CODEC_FIELD, "<B"))
    except (struct.error, NotATableError):
        return None


def _dictionaries(assembly: Assembly) -> dict[int, pa.Array]:
    """One dictionary for each dictionary column: the format can't replace one later.

    What the first donor has keeps its place, so that its indices stay.
    """
    used = sorted(assembly.plan.used_donors())
    result = {}
    for place, (column, field) in enumerate(zip(assembly.columns, assembly.schema, strict=True)):
        if not pa.types.is_dictionary(field.type):
            continue
        values = pa.nulls(0, field.type.value_type)
        for number in sorted(used, key=lambda number: number != column.donor):
            donor = assembly.donors[number]
            edits = {
                e.donor_column for e in assembly.plan.edits if (e.donor, e.column) == (number, field.name)
            }
            for name in sorted({assembly.original(number, column), *edits} - {None}, key=str):
                values = _extended(values, donor, str(name))
        result[place] = values
    return result


def _extended(values: pa.Array, donor: ColumnarDonor, name: str) -> pa.Array:
    for found in donor.dictionaries(name):
        if found.type == values.type and found.equals(values[: len(found)]):
            continue
        try:
            found = found.cast(values.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue  # told when values are cast
        new = found.filter(pc.invert(pc.is_in(found, value_set=values)))
        values = pa.concat_arrays([values, new]) if len(values) else found
    return values


def _with_dictionaries(table: pa.Table, dictionaries: dict[int, pa.Array], name: str) -> pa.Table:
    for place, values in dictionaries.items():
        field = table.schema.field(place)
        chunks = [_indexed(chunk, values, field.type, name) for chunk in table.column(place).chunks]
        table = table.set_column(place, field, pa.chunked_array(chunks, field.type))
    return table


def _indexed(chunk: pa.Array, values: pa.Array, dtype: pa.DictionaryType, name: str) -> pa.Array:
    if chunk.dictionary.equals(values):
        return chunk
    places = pc.index_in(chunk.dictionary, value_set=values)
    indices = places.take(chunk.indices)
    try:
        indices = indices.cast(dtype.index_type)
    except pa.ArrowInvalid as error:
        raise IncompatibleTablesError(f"{name}: too many distinct values for {dtype}: {error}") from error
    return pa.DictionaryArray.from_arrays(indices, values, ordered=dtype.ordered)
