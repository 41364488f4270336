"""Numbers, dates and columns."""

from __future__ import annotations

import pytest

from dsvc.cli.commands.gc import parse_grace
from dsvc.cli.writing.sizes import pad, shorten, show_bytes, show_date, width
from dsvc.model.errors import UsageError


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (10_240, "10.0 KiB"),
        (1_048_575, "1.00 MiB"),
        (123_456_789, "118 MiB"),
        (5 << 40, "5.00 TiB"),
        (5 << 60, "5,120 PiB"),
    ],
)
def test_bytes_have_three_digits(count: int, shown: str) -> None:
    assert show_bytes(count) == shown


def test_chinese_takes_two_cells() -> None:
    assert width("数据a") == 5
    assert pad("数据", 6) == "数据  "
    assert pad("longer", 3) == "longer"
    assert shorten("数据说明", 5) == "数据…"
    assert shorten("abc", 3) == "abc"


def test_dates_are_those_of_the_person() -> None:
    assert show_date(0, 480) == "1970-01-01 08:00:00 +0800"
    assert show_date(1 << 53) == f"@{1 << 53}"


def test_the_grace_of_gc() -> None:
    assert [parse_grace(text) for text in ("0s", "30m", "12h", "14d", "1w")] == [
        0,
        1800,
        43200,
        1209600,
        604800,
    ]
    for wrong in ("", "14", "d", "-1d", "1.5h", "1y", "999999999d"):
        with pytest.raises(UsageError):
            parse_grace(wrong)
