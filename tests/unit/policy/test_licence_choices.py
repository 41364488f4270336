"""What licences permit together where each limits something else, and what may be given to others then."""

from __future__ import annotations

from typing import Any

import pytest

from dsvc.policy.licence_terms import choices_of, licences_in
from dsvc.policy.licence_vector import FREE, Permission, Vector, both, either
from dsvc.policy.share_alike import permits_output

YES, NO, UNDETERMINED = Permission.YES, Permission.NO, Permission.UNDETERMINED
RESEARCH, TEST = frozenset({"research"}), frozenset({"test"})


def only(**limits: Any) -> frozenset[Vector]:
    return frozenset([Vector()._replace(**limits)])


def test_each_licence_of_an_expression_is_listed_once() -> None:
    text = "MIT OR (CC-BY-4.0 AND GPL-2.0-only WITH Classpath-exception-2.0) OR MIT"
    assert licences_in(text) == ("MIT", "CC-BY-4.0", "GPL-2.0-only WITH Classpath-exception-2.0")
    assert licences_in("MIT") == ("MIT",)


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ({"purposes": RESEARCH}, {}, {"purposes": RESEARCH}),
        ({"purposes": RESEARCH}, {"purposes": TEST}, {"purposes": frozenset()}),
        ({"purposes": RESEARCH | TEST}, {"purposes": TEST}, {"purposes": TEST}),
        (
            {"territory": frozenset({"CN", "US"})},
            {"territory": frozenset({"CN"})},
            {"territory": frozenset({"CN"})},
        ),
        ({"forbidden": RESEARCH}, {"forbidden": TEST}, {"forbidden": RESEARCH | TEST}),
        ({"expiry": "2027-01-01"}, {"expiry": "2026-12-31"}, {"expiry": "2026-12-31"}),
        ({"expiry": "2027-01-01"}, {}, {"expiry": "2027-01-01"}),
        ({"commercial": NO}, {"adapt": UNDETERMINED}, {"commercial": NO, "adapt": UNDETERMINED}),
    ],
)
def test_together_they_permit_what_both_do(
    one: dict[str, Any], other: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert both(only(**one), only(**other)) == both(only(**other), only(**one)) == only(**wanted)
    assert both(only(**one), only(**one)) == only(**one)
    assert either(only(**one), only(**one)) == only(**one)


def test_who_may_choose_takes_what_permits_more() -> None:
    assert either(only(commercial=NO), FREE) == FREE
    assert either(only(commercial=NO), only(adapt=NO)) == only(commercial=NO) | only(adapt=NO)
    assert choices_of("MIT AND MIT") == choices_of("MIT OR MIT") == choices_of("MIT")


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ({}, YES),
        ({"purposes": RESEARCH}, NO),
        ({"forbidden": RESEARCH}, NO),
        ({"territory": frozenset({"CN"})}, UNDETERMINED),
        ({"consumers": frozenset({"lab"})}, UNDETERMINED),
        ({"expiry": "2999-01-01"}, UNDETERMINED),
        ({"expiry": "2999-01-01", "forbidden": RESEARCH}, NO),
        ({"commercial": NO}, NO),
        ({"commercial": UNDETERMINED}, UNDETERMINED),
        ({"use": NO}, NO),
        ({"share_adapted": NO}, NO),
    ],
)
def test_nobody_gives_others_more_than_they_were_given(limits: dict[str, Any], wanted: Permission) -> None:
    assert permits_output(only(**limits), "MIT") is wanted
    assert permits_output(only(**limits) | FREE, "MIT") is YES, "the other one may be chosen"
