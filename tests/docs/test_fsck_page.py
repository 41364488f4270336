"""docs/fsck.md and the table in the code say the same."""

from __future__ import annotations

import re
from pathlib import Path

from dsvc.store.defects import CATALOGUE, Defect, exit_code

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fsck.md"


def test_the_page_names_every_defect_as_the_code_does() -> None:
    rows = re.findall(
        r"^\| (F\d{3}) \| (\d+) \| (.+?) \| .+ \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {number: (int(code), text) for number, code, text in rows} == CATALOGUE
    assert [row[0] for row in rows] == sorted(CATALOGUE)


def test_the_exit_code_is_the_first_that_applies() -> None:
    def of(*numbers: str) -> int:
        return exit_code(Defect(id=number, object="x", message="x") for number in numbers)

    assert of() == 0
    assert of("F022") == 41
    assert of("F022", "F028") == 31
    assert of("F022", "F028", "F010") == 30
