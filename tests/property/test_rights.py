"""Rights: the worst of what comes together, in whatever order and how often."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsvc.lineage.rights import Rights, join, parse_rights

WORST = {Rights.CLEAR: 0, Rights.DISPUTED: 1, Rights.UNDETERMINED: 2}
rights = st.sampled_from(Rights)


@given(rights, rights, rights)
def test_join_is_that_of_a_lattice(a: Rights, b: Rights, c: Rights) -> None:
    assert join([a, b]) is join([b, a])
    assert join([join([a, b]), c]) is join([a, join([b, c])])
    assert join([a, a]) is a
    assert join([join([]), a]) is a
    assert WORST[join([a, b])] == max(WORST[a], WORST[b])
    if WORST[a] <= WORST[b]:
        assert WORST[join([a, c])] <= WORST[join([b, c])]


@given(st.lists(rights), rights)
def test_one_more_source_never_makes_rights_better(known: list[Rights], more: Rights) -> None:
    assert WORST[join([*known, more])] >= WORST[join(known)]


@given(st.one_of(st.none(), st.text(), st.integers()))
def test_what_is_no_status_is_undetermined(text: object) -> None:
    assert parse_rights(text) is (Rights(text) if text in ("clear", "disputed") else Rights.UNDETERMINED)
