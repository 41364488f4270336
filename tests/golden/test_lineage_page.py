"""The page on the format names every field of the records of runs and sources, in the order of the code."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from dsvc.model.run_record import (
    Agent,
    Artifact,
    Asked,
    Code,
    CodeFile,
    Environment,
    Fates,
    Input,
    Output,
    Run,
)
from dsvc.model.source_operation import SourceOperation
from dsvc.model.source_record import Coverage, Evidence, SourceRecord

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")


def fields(kind: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def part(begin: str) -> str:
    start = PAGE.index(begin)
    return PAGE[start : PAGE.index("\n\n", PAGE.index("| --- |", start))]


@pytest.mark.parametrize(
    ("begin", "kind"), [("**Record of a run**", Run), ("**Record of a source**", SourceRecord)]
)
def test_records_have_these_keys(begin: str, kind: type[msgspec.Struct]) -> None:
    rows = re.findall(r"^\| (`.*?) \|", part(begin), re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == fields(kind)


@pytest.mark.parametrize("kind", [Artifact, Input, Output, Code, CodeFile, Environment, Agent, Asked, Fates])
def test_a_run_s_parts_have_these_keys(kind: type[msgspec.Struct]) -> None:
    assert in_order(fields(kind), part("**Record of a run**"))


@pytest.mark.parametrize("kind", [Evidence, Coverage])
def test_a_source_s_parts_have_these_keys(kind: type[msgspec.Struct]) -> None:
    assert in_order(fields(kind), part("**Record of a source**"))


def test_operations_have_these_keys() -> None:
    start = PAGE.index("`operation` is a map")
    assert in_order(fields(SourceOperation), PAGE[start : PAGE.index("\n\n", start)])


def in_order(names: list[str], text: str) -> bool:
    """Whether one line, or sentence, names all of these one after the other."""
    pattern = ".*?".join(rf"`{name}`" for name in names)
    return re.search(pattern, text, re.DOTALL if "operation" in text[:20] else 0) is not None
