"""Sources: evidence is stored and named; rows of tables that a source covers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.lineage.evidence import EvidenceError
from dsvc.lineage.source_document import parse_toml
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.source_record import Coverage
from dsvc.porcelain.sources.source_files import SourceRowsError
from dsvc.table.query.predicate import PredicateError
from dsvc.table.query.predicate_rows import UnknownColumnError
from tests.porcelain.sourcing import BASIC, TABLE, add, rows, tree
from tests.porcelain.working import Work, text


@pytest.fixture
def raw(work: Work) -> Work:
    """Tracked, changed, deleted, untracked and foreign files."""
    work.commit("data", {b"raw/a": b"1", b"raw/gone": b"2", b"raw/changed": b"3", b"other": b"4"})
    work.write({b"raw/gone": None, b"raw/changed": b"33", "raw/新/文件".encode(): "新".encode()})
    return work


# Evidence


def test_evidence_is_stored_named_and_read(raw: Work, tmp_path: Path) -> None:
    outside = tmp_path / "证明"
    outside.mkdir()
    (outside / "robots.txt").write_bytes(b"User-agent: *\nDisallow: /\n")
    raw.write({b"LICENSE": b"CC BY", b"more/LICENSE": b"MIT"})
    paths = [str(raw.folder / "LICENSE"), str(raw.folder / "more" / "LICENSE"), str(outside / "robots.txt")]
    made = add(
        raw,
        evidence=[*paths[:2], f"robots_txt={paths[2]}@2025-01-01..2026-01-01"],
        fields={"user_agent": "bot", "domains": "example.org"},
    )
    assert [(e.name, e.type, e.path) for e in made.record.evidence] == [
        ("LICENSE", "licence_text", b"LICENSE"),
        ("LICENSE-2", "licence_text", b"more/LICENSE"),
        ("robots.txt", "robots_txt", None),
    ]
    robots = made.record.evidence[2]
    assert robots.facts == {"robots_verdict": "disallowed"}
    assert (robots.valid_from, robots.valid_to) == ("2025-01-01", "2026-01-01")
    assert tree(raw).evidence_bytes("LICENSE-2") == b"MIT"
    assert made.missing_evidence == ()

    (outside / "robots.txt").write_bytes(b"User-agent: *\nAllow: /\n")
    raw.write({b"LICENSE": b"CC BY-SA"})
    made = raw.repo.source_set("网页-2024", evidence=[paths[0], paths[2]])
    assert len(made.record.evidence) == 3
    assert made.record.evidence[2].facts == {"robots_verdict": "allowed"}
    assert tree(raw).evidence_bytes("LICENSE") == b"CC BY-SA"
    made = raw.repo.source_set("网页-2024", fields={"user_agent": None})
    assert made.record.evidence[2].facts == {"robots_verdict": "unknown"}
    made = raw.repo.source_set("网页-2024", dropped_evidence=["robots.txt", "LICENSE-2"])
    assert [e.name for e in made.record.evidence] == ["LICENSE"]
    with pytest.raises(NotFoundError, match="no evidence"):
        raw.repo.source_set("网页-2024", dropped_evidence=["robots.txt"])
    assert raw.repo.fsck(read_data=True).defects == ()


def test_files_of_one_name_from_elsewhere_are_kept_apart(raw: Work, tmp_path: Path) -> None:
    for site in ("a.org", "b.org"):
        (tmp_path / site).mkdir()
        (tmp_path / site / "robots.txt").write_text(f"# {site}\nUser-agent: *\nAllow: /\n")
    evidence = [str(tmp_path / site / "robots.txt") for site in ("a.org", "b.org")]
    assert [e.name for e in add(raw, evidence=evidence).record.evidence] == ["robots-2.txt", "robots.txt"]


def test_missing_evidence_is_named_and_may_come_later(raw: Work) -> None:
    made = add(raw, fields={"acquisition": "purchase"})
    assert made.missing_evidence == (("contract",), ("supplier_proof",))
    raw.write({"合同.pdf".encode(): b"%PDF"})
    made = raw.repo.source_set("网页-2024", evidence=[str(raw.folder / "合同.pdf")])
    assert made.missing_evidence == (("supplier_proof",),)


@pytest.mark.parametrize("name", ["nowhere", "raw", "fifo", "other@2026-01-01..2025-01-01"])
def test_evidence_that_is_no_file_records_nothing(raw: Work, name: str) -> None:
    os.mkfifo(raw.path(b"fifo"))
    with pytest.raises((NotFoundError, EvidenceError)):
        add(raw, evidence=[str(raw.folder / name)])
    assert raw.repo.sources() == []


# Rows


def test_a_condition_covers_rows(work: Work) -> None:
    work.write({b"t.csv": text(TABLE), b"u.jsonl": text('{"n": 1}\n{"n": 9}\n')})
    made = work.repo.source_add("a", [b"t.csv"], fields=BASIC, where="n > 5")
    assert rows(work, "a", b"t.csv") == [1, 3]
    assert made.records == 2
    assert made.record.covers == (Coverage(path=b"t.csv", where="n > 5"),)
    work.repo.source_add("b", [b""], fields=BASIC, where="n <= 5")
    assert (rows(work, "b", b"t.csv"), rows(work, "b", b"u.jsonl")) == ([0], [0])
    work.write({b"t.csv": text(TABLE + "5,丙,100\n")})
    work.repo.source_update("a")
    assert rows(work, "a", b"t.csv") == [1, 3, 4]
    assert work.repo.fsck(read_data=True).defects == ()


def test_a_column_names_the_source_of_each_row(work: Work) -> None:
    work.write({b"t.csv": text(TABLE), b"dsvc.toml": b'[tables."*.csv"]\nsource = "src"\n'})
    for source_id in ("甲", "乙", "丙"):
        work.repo.source_add(source_id, [b"t.csv"], fields=BASIC)
    assert [rows(work, source_id, b"t.csv") for source_id in ("甲", "乙", "丙")] == [[0, 2], [1], []]
    work.repo.source_update("甲", [b"t.csv"], where="id = 3")
    assert rows(work, "甲", b"t.csv") == [2]


def test_a_column_of_numbers_names_sources(work: Work) -> None:
    work.write({b"t.csv": text("s\n2024\n2025\n"), b"dsvc.toml": b'[tables."*"]\nsource = "s"\n'})
    for source_id in ("2024", "x"):
        work.repo.source_add(source_id, [b"t.csv"], fields=BASIC)
    assert (rows(work, "2024", b"t.csv"), rows(work, "x", b"t.csv")) == ([0], [])


def test_rows_of_what_has_none_and_wrong_conditions_record_nothing(work: Work) -> None:
    work.write({b"t.csv": text(TABLE), b"note": b"x"})
    for paths, where, error in (
        ([b""], "n > 5", SourceRowsError),
        ([b"t.csv"], "m > 5", UnknownColumnError),
        ([b"t.csv"], "n >", PredicateError),
        ([], "n > 5", UsageError),
    ):
        with pytest.raises(error):
            work.repo.source_add("a", paths, fields=BASIC, where=where)
    assert work.repo.sources() == []


def test_two_conditions_on_one_table_are_both_meant(work: Work) -> None:
    work.write({b"t.csv": text(TABLE)})
    document = parse_toml(
        b'[[covers]]\npath = "t.csv"\nwhere = "id = 1"\n[[covers]]\npath = "./t.csv"\nwhere = "id = 4"\n',
        "x.toml",
        "/",
    )
    work.repo.source_add("a", fields=BASIC, document=document)
    assert rows(work, "a", b"t.csv") == [0, 3]
