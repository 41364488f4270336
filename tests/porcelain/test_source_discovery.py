"""What dsvc finds out about the files of a source, against files whose formats and encodings are known."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.lineage.source_values import SourceFieldError
from dsvc.porcelain.records import source_chain
from dsvc.porcelain.records.source_discovery import MAX_COLUMNS, MAX_FORMATS, MAX_LOOKS
from dsvc.testing.faults import tried
from tests.porcelain.working import Work, link

FIELDS = {"title": "语料", "acquisition": "crawl", "legal_basis": "licence", "license_expression": "MIT"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)


def found(work: Work, **files: bytes) -> dict[str, str]:
    """What is found out about files; `__` stands for a dot."""
    work.write({b"raw/" + name.replace("__", ".").encode(): data for name, data in files.items()})
    return dict(work.repo.source_add("源", [b"raw"], fields=FIELDS).record.discovered)


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"编号": [1, 2, 3], "x": [0.5, 1.5, 2.5]}), stream)
    return stream.getvalue()


def test_formats_encodings_rows_and_columns(work: Work) -> None:
    seen = found(
        work,
        a__csv="编号,文本\n1,一\n2,二\n".encode(),
        b__CSV="编号,文本\n3,三\n".encode("gb18030"),
        c__jsonl=b'{"id": 1}\n',
        d__parquet=parquet(),
        notes__txt="\ufeff说明".encode(),
        README="说明".encode(),
        odd__txt=b"\xff\xfe\xfa\n\x81",
        data__bin=b"\0\1\2",
        empty__txt=b"",
    )
    columns = {name for name in seen if name.startswith("column.")}
    assert {name: text for name, text in seen.items() if name not in columns} == {
        "format.csv": "2",
        "format.jsonl": "1",
        "format.parquet": "1",
        "format.txt": "3",
        "format.text": "1",
        "format.bin": "1",
        "encoding.utf-8": "3",
        "encoding.gb18030": "1",
        "encoding.utf-8-sig": "1",
        "encoding.other": "1",
        "rows": "7",
        "columns": "2",
    }
    assert columns == {"column.编号", "column.x"}
    assert "double" in seen["column.x"]


def test_first_bytes_count_more_than_names(work: Work) -> None:
    seen = found(
        work,
        a__jpg=JPEG,
        b__jpeg=JPEG,
        really_png__jpg=PNG,
        c__png=PNG,
        d__webp=b"RIFF\x10\0\0\0WEBPVP8 " + bytes(8),
        e__avif=b"\0\0\0\x20ftypavif" + bytes(8),
        hidden__dat=parquet(),
    )
    assert {name: text for name, text in seen.items() if name.startswith("format.")} == {
        "format.jpeg": "2",
        "format.png": "2",
        "format.webp": "1",
        "format.avif": "1",
        "format.parquet": "1",
    }


def test_an_encoding_is_told_where_the_sample_cuts_a_character(work: Work) -> None:
    long = ("汉" * 60_000).encode("gb18030")
    assert found(work, a__txt=b"x" + long, b__txt=("汉" * 60_000).encode()) == {
        "format.txt": "2",
        "encoding.gb18030": "1",
        "encoding.utf-8": "1",
    }


def test_what_is_looked_at_is_bounded_and_what_changed_comes_first(work: Work) -> None:
    many = {f"{number:03d}__txt": b"plain %d" % number for number in range(MAX_LOOKS + 20)}
    seen = found(work, **many)
    assert seen == {"format.txt": str(MAX_LOOKS + 20), "encoding.utf-8": str(MAX_LOOKS)}
    work.write({b"raw/zzz.txt": "最后一个".encode("gb18030")})
    again = work.repo.source_update("源").record.discovered
    assert again == {
        "format.txt": str(MAX_LOOKS + 21),
        "encoding.utf-8": str(MAX_LOOKS - 1),
        "encoding.gb18030": "1",
    }


def test_names_without_end_make_no_record_without_end(work: Work) -> None:
    names = {f"a__x{number}": b"\0%d" % number for number in range(MAX_FORMATS + 30)}
    header = ",".join(f"c{number}" for number in range(MAX_COLUMNS + 50))
    seen = found(work, **names, wide__csv=f"{header}\n".encode())
    formats = {name: int(text) for name, text in seen.items() if name.startswith("format.")}
    assert len(formats) == MAX_FORMATS + 1
    assert sum(formats.values()) == MAX_FORMATS + 31
    assert sum(name.startswith("column.") for name in seen) <= MAX_COLUMNS


def test_links_are_no_files_and_nothing_is_set_by_hand(work: Work) -> None:
    work.write({b"raw/a.txt": b"a", b"raw/l": link(b"a.txt")})
    made = work.repo.source_add("源", [b"raw"], fields=FIELDS)
    assert made.record.discovered == {"format.txt": "1", "encoding.utf-8": "1"}
    with pytest.raises(SourceFieldError, match="not set by hand"):
        work.repo.source_set("源", fields={"discovered": "csv"})
    # Changing the record leaves the attested files, and what is known of them, alone.
    changed = work.repo.source_set("源", fields={"description": "新"})
    assert changed.record.discovered == made.record.discovered


def test_attesting_again_finds_the_same(work: Work) -> None:
    seen = found(work, a__csv=b"id\n1\n", b__png=PNG)
    assert work.repo.source_update("源").record.discovered == seen
    tree = source_chain.head(work.repo, "源").tree
    assert list(tree.record.discovered) == sorted(seen)
    assert work.repo.fsck(read_data=True).defects == ()


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self._place, "w")


def test_h47_files_that_run_code_are_flagged_and_never_loaded(work: Work, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    pickles = [pickle.dumps(Trap(str(trap)), protocol) for protocol in range(6)]
    objects, numbers, torch = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(objects, np.array([Trap(str(trap))], dtype=object), allow_pickle=True)
    np.save(numbers, np.arange(5))
    with zipfile.ZipFile(torch, "w") as archive:
        archive.writestr("archive/data.pkl", pickles[2])
    files = {f"p{number}__pkl": data for number, data in enumerate(pickles)}
    files |= {f"hidden{number}__bin": pickles[number] for number in (2, 3, 4, 5)}
    files |= {"m__joblib": pickles[3], "数组__npy": objects.getvalue(), "plain__npy": numbers.getvalue()}
    files |= {"net__pt": torch.getvalue(), "weights__data": torch.getvalue(), "x__parquet": pickles[4]}
    files |= {"y__csv": pickles[0], "z__arrow": pickles[5]}
    seen = found(work, **files)
    # Names that promise a table are believed only so far.
    assert {name: count for name, count in seen.items() if name.startswith("loads_code.")} == {
        "loads_code.joblib": "1",
        "loads_code.npy": "1",
        "loads_code.pickle": "12",
        "loads_code.torch": "2",
    }
    work.repo.add(all=True)
    work.repo.commit("all of it")
    work.repo.diff("HEAD", "WORKTREE")
    assert not trap.exists()
    pickle.loads(pickles[2]).close()
    assert trap.exists()
    tried("hostile cases", len(files))
