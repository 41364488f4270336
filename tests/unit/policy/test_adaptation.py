"""LIC-03 over what runs do to content: what came into a file as it was, adapted, or perhaps."""

from __future__ import annotations

from typing import Any

import pytest

from dsvc.lineage.validation import Outcome
from dsvc.policy.example_text import world_of
from tests.policykit import judged

PASS, FAIL, INCOMPLETE = Outcome.PASS, Outcome.FAIL, Outcome.INCOMPLETE
ROLES = {"*.csv": {"key": ["id"], "content": ["text"]}, "l*.csv": {"key": ["id"], "label": ["label"]}}


def file(path: str, *rows: dict[str, Any]) -> dict[str, Any]:
    return {"path": path, "rows": list(rows or ({"id": 1, "text": path},))}


def run(kind: str, inputs: str, outputs: str, lookups: str = "") -> dict[str, Any]:
    """A run; files are named by words."""
    name = f"{kind} {inputs} {outputs}"
    return {
        "name": name,
        "kind": kind,
        "inputs": inputs.split(),
        "outputs": outputs.split(),
        "lookups": lookups.split(),
    }


def source(path: str, licence: str = "MIT") -> dict[str, Any]:
    return {"id": path.partition(".")[0], "paths": [path], "license_expression": licence}


NOT_ADAPTED = "CC-BY-ND-4.0"


def asked(
    files: list[dict[str, Any]], sources: list[dict[str, Any]], *runs: dict[str, Any], **more: Any
) -> tuple[Outcome, list[str]]:
    return judged(
        "LIC-03", world_of({"file": files, "source": sources, "run": list(runs), "tables": ROLES, **more})
    )


@pytest.mark.parametrize(
    ("kind", "inputs", "lookups", "wanted"),
    [
        ("filter", "mine.csv", "theirs.csv", PASS),
        ("filter", "theirs.csv", "mine.csv", PASS),
        ("clean", "mine.csv", "theirs.csv", FAIL),
        ("clean", "theirs.csv", "mine.csv", FAIL),
        ("clean", "mine.csv", "", PASS),
    ],
)
def test_rows_that_were_kept_have_nothing_of_what_was_looked_up(
    kind: str, inputs: str, lookups: str, wanted: Outcome
) -> None:
    files = [file("mine.csv"), file("theirs.csv"), file("out.csv")]
    sources = [source("mine.csv"), source("theirs.csv", NOT_ADAPTED)]
    outcome, messages = asked(files, sources, run(kind, inputs, "out.csv", lookups))
    assert outcome is wanted
    assert ["theirs" in each for each in messages] == ([True] if wanted is FAIL else [])


@pytest.mark.parametrize(("kind", "wanted"), [("filter", PASS), ("clean", FAIL)])
def test_a_detour_back_to_the_same_file_adds_what_was_done_on_it(kind: str, wanted: Outcome) -> None:
    """Sorted up and down again, with another table looked up; or changed, and changed back."""
    files = [file("a.csv"), file("b.csv"), file("words.csv")]
    sources = [source("a.csv", NOT_ADAPTED), source("words.csv")]
    there, back = run(kind, "a.csv", "b.csv", "words.csv"), run("filter", "b.csv", "a.csv", "words.csv")
    outcome, messages = asked(files, sources, there, back)
    assert outcome is wanted
    if wanted is FAIL:
        assert {name for each in messages for name in ("a.csv", "b.csv") if f"{name} adapts a" in each} == {
            "a.csv",
            "b.csv",
        }


def test_a_copy_has_what_its_original_has() -> None:
    rows = {"id": 1, "text": "made"}
    files = [file("raw.csv"), file("made.csv", rows), file("copy.csv", rows)]
    sources = [source("raw.csv", NOT_ADAPTED)]
    outcome, messages = asked(files, sources, run("clean", "raw.csv", "made.csv"))
    assert outcome is FAIL
    assert any(each.startswith("copy.csv adapts raw") for each in messages)


def test_labels_in_a_file_that_is_no_table_may_hold_content() -> None:
    notes = {"path": "notes.txt", "content": "label: good"}
    labels = file("labels.csv", {"id": 1, "label": "good"})
    sources = [source("raw.csv", NOT_ADAPTED)]
    label = run("label", "raw.csv", "notes.txt labels.csv")
    outcome, messages = asked([file("raw.csv"), notes, labels], sources, label)
    assert (outcome, len(messages)) == (INCOMPLETE, 1)
    assert messages[0].startswith("whether notes.txt adapts raw")
    # Another round, for what comes from itself by a detour, says the same.
    detour = run("filter", "labels.csv", "raw.csv")
    assert asked([file("raw.csv"), notes, labels], sources, label, detour)[0] is INCOMPLETE


def test_what_was_told_of_a_file_that_is_there_is_not_told_of_those_on_the_way() -> None:
    files = [file("raw.csv"), {**file("middle.csv"), "judged": False}, file("out.csv")]
    sources = [source("raw.csv", NOT_ADAPTED)]
    outcome, messages = asked(
        files, sources, run("clean", "raw.csv", "middle.csv"), run("filter", "middle.csv", "out.csv")
    )
    assert (outcome, len(messages)) == (FAIL, 1)
    assert messages[0].startswith("out.csv adapts raw")
    free = [source("raw.csv")]
    runs = (run("clean", "raw.csv", "middle.csv"), run("filter", "middle.csv", "out.csv"))
    assert asked(files, free, *runs)[0] is PASS


def test_taking_in_from_outside_is_no_adaptation() -> None:
    sources = [source("raw.csv", NOT_ADAPTED)]
    assert asked([file("raw.csv"), file("in.csv")], sources, run("ingest", "raw.csv", "in.csv"))[0] is PASS
    half = {**run("ingest", "raw.csv", "in.csv"), "complete": False}
    assert asked([file("raw.csv"), file("in.csv")], sources, half)[0] is FAIL
