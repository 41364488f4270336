"""The page with tables: what a cell, a column or a path smuggles in stays text; it needs nothing else."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dsvc.cli.tables.table_html import table_parts
from dsvc.diff.table_delta import (
    Column,
    KeySource,
    MalformedRow,
    Renamed,
    RowChange,
    RowOp,
    SchemaDelta,
    TableDelta,
)

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</td></table><iframe src=javascript:alert(1)>",
    "<!-- ",
    "]]>",
    "&lt;b&gt;",
    "javascript:alert(1)",
    "\x00\x1b[31m\u202e",
    "</style><style>*{}</style>",
    "<svg/onload=alert(1)>",
    "<a href='//evil'>x</a>",
    "{{7*7}}",
    "\ud800",
]
ALLOWED = {
    "div",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "span",
    "del",
    "ins",
    "p",
    "ul",
    "li",
}


def delta_of(text: str) -> TableDelta:
    return TableDelta(
        key=("id",),
        key_from=KeySource.GUESSED,
        rows_added=1,
        rows_removed=1,
        rows_changed=1,
        rows_unchanged=0,
        cells_changed=1,
        schema=SchemaDelta(added=(Column(text, text),), renamed=(Renamed("a", text),)),
        changes=[
            RowChange(op=RowOp.ADDED, key={"id": text}, before=None, after={"id": text, text: text}),
            RowChange(op=RowOp.REMOVED, key={"id": 1}, before={"id": [text], text: {text: text}}, after=None),
            RowChange(
                op=RowOp.CHANGED,
                key={"id": 2},
                before={"id": 2, "c": text + " and more of it"},
                after={"id": 2, "c": text + " and less of it"},
                columns=("c",),
            ),
        ],
        malformed_before=(MalformedRow(3, text),),
    )


class Reader(HTMLParser):
    """Notes every element and attribute, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _value in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_in_a_cell_stays_text(text: str) -> None:
    html = "".join(table_parts(delta_of(text), text))
    plain = read("".join(table_parts(delta_of("harmless"), "harmless")))
    found = read(html)
    assert set(found.elements) <= ALLOWED
    assert found.attributes <= plain.attributes
    assert found.elements.count("tr") == plain.elements.count("tr")
    assert found.elements.count("td") == plain.elements.count("td")
    html.encode("utf-8")
    assert not set("\x00\x1b\u202e") & set(html)


def test_rows_are_marked_and_reachable() -> None:
    html = "".join(table_parts(delta_of("x"), "训练.csv"))
    found = read(html)
    assert '<tr class="changed">' in html
    assert "<del>more</del> <ins>less</ins>" in html
    assert 'tabindex="0"' in html
    assert 'aria-label="changed rows of 训练.csv"' in html
    # What the colour says stands there in words too.
    assert {"row added", "row removed", "row changed"} <= set(found.text)
    assert found.elements.count("caption") == 1


def test_a_very_wide_table_shows_what_changed() -> None:
    row = {f"c{number}": number for number in range(1000)}
    change = RowChange(op=RowOp.CHANGED, key=None, before=row, after={**row, "c999": 0}, columns=("c999",))
    delta = TableDelta(
        key=("c0",),
        key_from=KeySource.OPTION,
        rows_added=0,
        rows_removed=0,
        rows_changed=1,
        rows_unchanged=0,
        changes=[change],
    )
    html = "".join(table_parts(delta, "wide"))
    assert "<del>999</del> <ins>0</ins>" in html
    assert html.count("<td") < 100


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_in_a_browser_nothing_runs(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    bodies = "".join("".join(table_parts(delta_of(text), text)) for text in HOSTILE if text.isascii())
    page.write_text(f"<!DOCTYPE html><title>quiet</title>{bodies}", encoding="utf-8")
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert not {"script", "img", "iframe", "svg", "a"} & set(read(done.stdout).elements)
