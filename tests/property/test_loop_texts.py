"""References and conditions that others wrote: read as they can be, or refused in plain words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.feedback.reference import MalformedReferenceError, read_reference, write_reference
from dsvc.model.errors import DsvcError
from dsvc.table.query.predicate import PredicateError, parse

FEW = settings(max_examples=200, deadline=None)


def plain(error: DsvcError) -> None:
    assert not {"\x1b", "\n", "\u202e", "\0"} & set(str(error))


@FEW
@given(st.text(max_size=40) | st.from_regex(r"\A[0-9a-f]{2,40}:[^#]{0,9}(#[^\n]{0,20})?\Z", fullmatch=True))
def test_references(text: str) -> None:
    try:
        found = read_reference(text)
    except MalformedReferenceError as error:
        plain(error)
        return
    commit = "c" * 40
    if found.position is not None:
        again = write_reference(commit, found.path, position=found.position)
    else:
        again = write_reference(commit, found.path, dict(found.key) or None)
    assert read_reference(again)._replace(revision=found.revision) == found


_WORDS = [
    "label", "==", "!=", "(", ")", "'", '"', "`", "and", "or", "not", "in", "is null", ",", "1", "-", "1e999",
    "9" * 400, "\0", "\u202e", "--", ";", "/*", "\\", "%", "{", "中", "\ud800", "read_csv('/etc/passwd')",
]  # fmt: skip


@FEW
@given(st.lists(st.sampled_from(_WORDS), max_size=12).map(" ".join) | st.text(max_size=30))
def test_conditions(text: str) -> None:
    try:
        parse(text)
    except PredicateError as error:
        plain(error)


@pytest.mark.parametrize("sign", ["(", "not ", "- ", "label == 1 and (", "label in ("])
def test_conditions_are_bounded_in_depth_and_length(sign: str) -> None:
    for count in (50, 5_000, 500_000):
        with pytest.raises(PredicateError):
            parse(sign * count)
