"""Licences that come together: in whatever order and how often, and never permitting more."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.model.source_record import Acquisition, LegalBasis, SourceRecord
from dsvc.policy.licence_fold import LicenceFolds, Use, permits_use
from dsvc.policy.licence_terms import LicenceTerms, choices_of, make_vector
from dsvc.policy.licence_vector import FREE, UNKNOWN, Choices, Permission, both, either, permission
from dsvc.policy.share_alike import best_sharing, permits_output

OWN = {
    "LicenseRef-own": LicenceTerms(
        make_vector("undetermined", "yes", "no", "no")._replace(purposes=frozenset({"research", "test"}))
    )
}
IDS = (
    "CC0-1.0",
    "MIT",
    "CC-BY-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-ND-3.0",
    "CC-BY-NC-ND-4.0",
    "GPL-2.0-only",
    "GPL-3.0-or-later",
    "LicenseRef-own",
    "LicenseRef-other",
    "Elastic-2.0",
)
expressions = st.recursive(
    st.sampled_from(IDS),
    lambda inner: st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(
        lambda found: f"({found[0]} {found[1]} {found[2]})"
    ),
    max_leaves=4,
)
choices = expressions.map(lambda text: choices_of(text, OWN))
words = st.lists(st.sampled_from(["research", "commercial", "test"]), max_size=2)
fields = st.fixed_dictionaries(
    {},
    optional={
        "commercial": st.sampled_from(["yes", "no", "unknown"]),
        "purposes_allowed": words,
        "purposes_forbidden": words,
        "territory": st.lists(st.sampled_from(["CN", "EU"]), max_size=2),
        "consumers_allowed": st.lists(st.sampled_from(["a", "b"]), max_size=2),
        "expiry": st.sampled_from(["2026-01-01", "2027-01-01"]),
        "rights_status": st.sampled_from(["clear", "disputed", "undetermined"]),
    },
)
few = settings(max_examples=40)


def questions(found: Choices) -> list[Permission]:
    """What rules ask of choices."""
    uses = [
        Use(),
        Use("research", False, "2026-06-01"),
        Use("any", True),
        Use("commercial", True, "2026-06-01"),
    ]
    names = ("use", "commercial", "adapt", "share_adapted", "redistribute", "unnamed")
    return [
        *(permission(found, lambda vector, use=use: permits_use(vector, use)) for use in uses),
        *(permission(found, lambda vector, name=name: getattr(vector, name)) for name in names),
        best_sharing(found, OWN).permission,
        *(permits_output(found, each, OWN) for each in ("CC-BY-4.0", "CC-BY-SA-4.0", "LicenseRef-own")),
    ]


@few
@given(choices, choices, choices)
def test_coming_together_is_that_of_a_semilattice(a: Choices, b: Choices, c: Choices) -> None:
    assert both(a, b) == both(b, a)
    assert both(both(a, b), c) == both(a, both(b, c))
    assert both(a, a) == a
    assert both(a, FREE) == a
    assert either(a, b) == either(b, a)
    assert either(either(a, b), c) == either(a, either(b, c))
    assert both(a, either(b, c)) == either(both(a, b), both(a, c))
    assert either(a, both(a, b)) == a


@few
@given(choices, choices)
def test_one_more_licence_never_permits_more(a: Choices, b: Choices) -> None:
    for together, alone in zip(questions(both(a, b)), questions(a), strict=True):
        assert together <= alone
    for chosen, alone in zip(questions(either(a, b)), questions(a), strict=True):
        assert chosen >= alone


@few
@given(choices)
def test_what_is_not_known_permits_nothing(a: Choices) -> None:
    found = both(a, UNKNOWN)
    assert Permission.YES not in questions(found)
    assert all(vector.at_most(Permission.UNDETERMINED) == vector for vector in found)


def source(name: str, expression: str, stated: dict[str, object], basis: LegalBasis) -> SourceRecord:
    return SourceRecord(
        source_id=name,
        title=name,
        acquisition=Acquisition.BULK,
        legal_basis=basis,
        license_expression=expression,
        fields=stated,
    )


@few
@given(
    st.lists(st.tuples(expressions, fields, st.sampled_from(LegalBasis)), min_size=1, max_size=4),
    st.data(),
)
def test_the_fold_of_sources_is_what_each_permits_together(
    given_: list[tuple[str, dict[str, object], LegalBasis]], data: st.DataObject
) -> None:
    records = {f"s{n}": [source(f"s{n}", *each)] for n, each in enumerate(given_)}
    folds = LicenceFolds(records, OWN)
    names = data.draw(st.permutations(sorted(records)))
    expected = FREE
    for name in names:
        expected = both(expected, LicenceFolds(records, OWN).own(name))
    assert folds.of(names) == folds.of([*names, *names]) == expected
    assert folds.of(names, whole=False) == both(expected, UNKNOWN) == folds.of([*names, "nobody"])
    for name in names:
        for united, alone in zip(questions(folds.of(names)), questions(folds.own(name)), strict=True):
            assert united <= alone
        # The record only tightens what the licence permits.
        plain = choices_of(records[name][0].license_expression, OWN)
        for tightened, loose in zip(questions(folds.own(name)), questions(plain), strict=True):
            assert tightened <= loose
