"""Sources in groups: sums against a plain count."""

from __future__ import annotations

import pytest

from dsvc.lineage.source_values import SourceFieldError
from tests.porcelain.working import Work

FIELDS = {"title": "t", "acquisition": "open_dataset", "legal_basis": "licence", "license_expression": "MIT"}


@pytest.fixture
def filled(work: Work) -> Work:
    work.write(
        {
            b"a/1.csv": b"id,lang\n1,zh\n2,en\n3,zh\n",
            b"a/2.csv": b"id\n1\n",
            b"b/x.bin": b"\0\1",
            "丙.csv".encode(): b"id\n1\n2\n",
        }
    )
    add = work.repo.source_add
    add("甲", [b"a"], fields={**FIELDS, "supply_type": "公共", "language": ["zh", "en"]})
    add("b", [b"b"], fields={**FIELDS, "supply_type": "public", "acquisition": "crawl", "grade": "core"})
    add("丙", ["丙.csv".encode()], fields={**FIELDS, "language": ["zh"], "rights_status": "clear"})
    add("rows", [b"a/1.csv"], fields={**FIELDS, "supply_type": "internet"}, where="lang == 'zh'")
    return work


def grouped(work: Work, by: str) -> dict[str | None, tuple[int, int, int, int]]:
    return {
        group.value: (group.sources, group.files, group.rows, group.bytes)
        for group in work.repo.source_groups(by)
    }


def test_groups_have_sources_files_rows_and_bytes(filled: Work) -> None:
    assert grouped(filled, "supply_type") == {
        "internet": (1, 1, 2, 23),
        "public": (2, 3, 4, 30),
        None: (1, 1, 2, 7),
    }
    assert grouped(filled, "acquisition") == {"crawl": (1, 1, 0, 2), "open_dataset": (3, 4, 8, 58)}
    assert list(grouped(filled, "supply_type")) == ["internet", "public", None]


def test_of_a_list_each_item_counts(filled: Work) -> None:
    assert grouped(filled, "language") == {"en": (1, 2, 4, 28), "zh": (2, 3, 6, 35), None: (2, 2, 2, 25)}


def test_what_is_not_said_counts_as_it_does_elsewhere(filled: Work) -> None:
    assert {value: group[0] for value, group in grouped(filled, "grade").items()} == {"core": 1, "general": 3}
    assert set(grouped(filled, "rights_status")) == {"clear", "undetermined"}
    filled.repo.source_withdraw("b", "撤回")
    assert {value: group[0] for value, group in grouped(filled, "status").items()} == {
        "active": 3,
        "withdrawn": 1,
    }


def test_groups_by_a_part_of_a_field(filled: Work) -> None:
    filled.repo.source_set("b", fields={"cross_border.direction": "in"})
    assert grouped(filled, "cross_border.direction") == {"in": (1, 1, 0, 2), None: (3, 4, 8, 58)}


@pytest.mark.parametrize("by", ["suply_type", "cross_border", "cross_border.nope", "content_root", ""])
def test_a_field_that_groups_nothing_is_refused(filled: Work, by: str) -> None:
    with pytest.raises(SourceFieldError):
        filled.repo.source_groups(by)


def test_without_sources_there_are_no_groups(work: Work) -> None:
    assert work.repo.source_groups("supply_type") == []
