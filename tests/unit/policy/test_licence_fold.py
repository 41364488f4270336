"""What licences permit, one by one and together, beside what their stewards say."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import reduce
from itertools import combinations_with_replacement
from typing import Any

import pytest

from dsvc.lineage.license_text import LicenseExpressionError, licence_tree, spdx_ids
from dsvc.model.errors import MalformedInputError
from dsvc.model.source_record import Acquisition, LegalBasis, SourceRecord
from dsvc.policy import licence_terms
from dsvc.policy.licence_fold import LicenceFolds, Use, permits_use, use_of
from dsvc.policy.licence_settings import LicenceSettingsError, declared_licences
from dsvc.policy.licence_terms import accepted_by, choices_of, class_of, known_terms
from dsvc.policy.licence_vector import (
    UNKNOWN,
    Permission,
    TooManyChoicesError,
    both,
    choose,
    either,
    permission,
)
from dsvc.policy.share_alike import best_sharing, permits_output

YES, NO, UNDETERMINED = Permission.YES, Permission.NO, Permission.UNDETERMINED
PD, CC0 = "CC-PDM-1.0", "CC0-1.0"
BY, SA, NC, ND = "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0"
NC_SA, NC_ND = "CC-BY-NC-SA-4.0", "CC-BY-NC-ND-4.0"
CHART = (PD, CC0, BY, SA, NC, ND, NC_SA, NC_ND)
# wiki.creativecommons.org, "Wiki/cc license compatibility", and the FAQ "Can I combine material under
# different Creative Commons licenses in my work?": which two may be remixed, each row with the columns of
# `CHART`.
REMIX = {
    PD: "yyyyynyn",
    CC0: "yyyyynyn",
    BY: "yyyyynyn",
    SA: "yyyynnnn",
    NC: "yyynynyn",
    ND: "nnnnnnnn",
    NC_SA: "yyynynyn",
    NC_ND: "nnnnnnnn",
}
# The same FAQ, "If I derive or adapt material offered under a Creative Commons license, which CC license(s)
# can I use?": the licence of the material, then those that an adaptation may carry (its green fields).
ADAPTER = {
    PD: set(CHART),
    CC0: set(CHART),
    BY: {BY, SA, NC, ND, NC_SA, NC_ND},
    SA: {SA},
    NC: {NC, NC_SA, NC_ND},
    ND: set(),
    NC_SA: {NC_SA},
    NC_ND: set(),
}


@pytest.mark.parametrize(("one", "other"), list(combinations_with_replacement(CHART, 2)))
def test_remixing_agrees_with_the_chart_of_creative_commons(one: str, other: str) -> None:
    expected = REMIX[one][CHART.index(other)]
    assert REMIX[other][CHART.index(one)] == expected
    together = both(choices_of(one), choices_of(other))
    assert best_sharing(together).permission is (YES if expected == "y" else NO)


@pytest.mark.parametrize("material", CHART)
def test_licences_of_adaptations_agree_with_the_chart_of_creative_commons(material: str) -> None:
    found = {each for each in CHART if permits_output(choices_of(material), each) is YES}
    assert found == ADAPTER[material]


@pytest.mark.parametrize(
    ("expression", "commercial", "adapt", "share_adapted", "redistribute", "unnamed"),
    [
        ("CC0-1.0", YES, YES, YES, YES, YES),
        ("LicenseRef-public-domain", YES, YES, YES, YES, YES),
        ("MIT", YES, YES, YES, YES, NO),
        ("ODbL-1.0", YES, YES, YES, YES, NO),
        ("CC-BY-NC-SA-2.0-FR", NO, YES, YES, YES, NO),
        ("CC-BY-ND-3.0-DE", YES, NO, NO, YES, NO),
        ("CC-BY-ND-4.0", YES, YES, NO, YES, NO),
        ("CC-BY-NC-ND-2.5", NO, NO, NO, YES, NO),
        ("CC-BY-NC-ND-4.0", NO, YES, NO, YES, NO),
        ("GPL-2.0+ WITH Classpath-exception-2.0", YES, YES, YES, YES, NO),
        ("MIT AND CC-BY-NC-4.0", NO, YES, YES, YES, NO),
        ("undetermined", *[UNDETERMINED] * 5),
        ("LicenseRef-contract-7", *[UNDETERMINED] * 5),
        ("Elastic-2.0", *[UNDETERMINED] * 5),
        ("LicenseRef-x WITH Classpath-exception-2.0", *[UNDETERMINED] * 5),
        ("MIT AND LicenseRef-x", UNDETERMINED, UNDETERMINED, UNDETERMINED, UNDETERMINED, NO),
    ],
)
def test_what_one_expression_permits(
    expression: str,
    commercial: Permission,
    adapt: Permission,
    share_adapted: Permission,
    redistribute: Permission,
    unnamed: Permission,
) -> None:
    (vector,) = choices_of(expression)
    assert vector[1:6] == (commercial, adapt, share_adapted, redistribute, unnamed)


def test_licences_of_the_reference_are_known() -> None:
    families = ("CC-BY-*", "CC0-*", "PDDL-*", "CC-PD*", "DL-DE-*", "ODC-By-*", "CDLA-*", "O-UDA-*", "C-UDA-*")
    families += ("etalab-*", "OGL-*", "NLOD-*", "MulanPSL-*", "ODbL-*", "MIT", "Apache-2.0")
    wanted = [each for each in spdx_ids() if any(fnmatchcase(each, glob) for glob in families)]
    assert len(wanted) > 70
    assert [each for each in wanted if known_terms(each) is None] == []
    counts = {glob: sum(fnmatchcase(each, glob) for each in wanted) for glob in families}
    assert min(counts.values()) > 0


def test_no_licence_is_in_two_classes_and_each_glob_matches_one() -> None:
    classes = licence_terms._classes()
    known = spdx_ids() | {"LicenseRef-public-domain"}
    for each in known:
        assert sum(one.matches(each) for one in classes) <= 1, each
    for one in classes:
        for glob in one.ids:
            assert any(fnmatchcase(each, glob) for each in known), glob
        for accepted in one.accepts:
            assert accepted in known, accepted


def test_classes_follow_the_elements_of_creative_commons() -> None:
    for each in spdx_ids():
        if not fnmatchcase(each, "CC-BY*"):
            continue
        vector = known_terms(each).vector  # type: ignore[union-attr]
        parts = each.split("-")
        assert (vector.commercial is NO) == ("NC" in parts), each
        assert (vector.share_adapted is NO) == ("ND" in parts), each
        assert (vector.adapt is NO) == ("ND" in parts and "4.0" not in parts), each
        assert bool(vector.share_alike) == ("SA" in parts), each
        assert vector.unnamed is NO


def test_share_alike_takes_the_same_or_a_later_version() -> None:
    assert accepted_by("CC-BY-SA-2.0") >= {"CC-BY-SA-2.0", "CC-BY-SA-2.5", "CC-BY-SA-3.0-DE", "CC-BY-SA-4.0"}
    assert "CC-BY-SA-2.0" not in accepted_by("CC-BY-SA-3.0")
    assert accepted_by("CC-BY-SA-1.0") == {"CC-BY-SA-1.0"}
    assert not {each for each in accepted_by("CC-BY-NC-SA-2.0") if "NC" not in each}
    assert accepted_by("GPL-2.0-only") == {"GPL-2.0-only"}
    assert "GPL-3.0-only" in accepted_by("GPL-2.0-or-later")


@pytest.mark.parametrize(
    ("one", "other", "expected", "licences"),
    [
        ("CC-BY-SA-3.0", "CC-BY-SA-4.0", YES, ("CC-BY-SA-4.0",)),
        ("CC-BY-SA-1.0", "CC-BY-SA-4.0", NO, ()),
        ("CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", NO, ()),
        ("CC-BY-SA-4.0", "GPL-3.0-or-later", YES, ("GPL-3.0-only",)),
        ("GPL-2.0-only", "GPL-3.0-only", NO, ()),
        ("GPL-2.0-or-later", "GPL-3.0-only", YES, ("GPL-3.0-only",)),
        ("ODbL-1.0", "CC-BY-SA-4.0", NO, ()),
        ("CDLA-Sharing-1.0", "CDLA-Permissive-2.0", YES, ("CDLA-Sharing-1.0",)),
        ("CC-BY-SA-4.0 OR MIT", "CC-BY-NC-SA-4.0", YES, None),
        ("CC-BY-SA-4.0", "LicenseRef-x", UNDETERMINED, None),
        ("CC-BY-ND-4.0", "LicenseRef-x", NO, ()),
    ],
)
def test_adaptations_of_two(
    one: str, other: str, expected: Permission, licences: tuple[str, ...] | None
) -> None:
    found = best_sharing(both(choices_of(one), choices_of(other)))
    assert found.permission is expected
    if licences is not None:
        assert found.licences == licences


def test_an_output_licence_with_a_choice_must_do_in_every_way() -> None:
    assert permits_output(choices_of(SA), "CC-BY-SA-4.0 OR MIT") is NO
    assert permits_output(choices_of("MIT"), "CC-BY-SA-4.0 OR MIT") is YES
    assert permits_output(choices_of(SA), "CC-BY-SA-4.0 AND MIT") is YES
    assert permits_output(choices_of("MIT"), "undetermined") is UNDETERMINED
    assert permits_output(choices_of(NC), "LicenseRef-x") is UNDETERMINED
    with pytest.raises(LicenseExpressionError):
        permits_output(choices_of("MIT"), "MIT AND")


# Choices


def test_of_a_choice_one_licence_must_permit_everything_that_is_asked() -> None:
    found = choices_of("CC-BY-NC-4.0 OR CC-BY-ND-4.0")
    use = Use("commercial", True)
    assert permission(found, lambda vector: permits_use(vector, use)) is YES
    assert permission(found, lambda vector: vector.share_adapted) is YES
    chosen = choose(found, lambda vector: permits_use(vector, use))
    assert permission(chosen, lambda vector: vector.share_adapted) is NO


def test_a_choice_that_is_unknown_is_not_permission() -> None:
    found = choices_of("CC-BY-NC-4.0 OR LicenseRef-x")
    assert permission(found, lambda vector: vector.commercial) is UNDETERMINED
    assert permission(found, lambda vector: vector.redistribute) is YES


def test_too_many_choices_are_refused() -> None:
    declared = {
        f"LicenseRef-{n}": licence_terms.LicenceTerms(
            licence_terms.make_vector("yes", "yes", "yes", "no")._replace(forbidden=frozenset({str(n)}))
        )
        for n in range(40)
    }
    parts = [choices_of(name, declared) for name in declared]
    with pytest.raises(TooManyChoicesError):
        reduce(either, parts)


def test_expressions_come_apart() -> None:
    assert licence_tree("mit or (apache-2.0 and CC-BY-4.0)") == ("OR", ("MIT", ("AND", ("Apache-2.0", BY))))
    with pytest.raises(LicenseExpressionError):
        licence_tree("CC-BY-9.0")


# Sources


def record(expression: str = "MIT", basis: LegalBasis = LegalBasis.LICENCE, **fields: Any) -> SourceRecord:
    return SourceRecord(
        source_id="s",
        title="s",
        acquisition=Acquisition.BULK,
        legal_basis=basis,
        license_expression=expression,
        fields=fields,
        undetermined=tuple(fields.pop("undetermined", ())),
    )


def asked(found: LicenceFolds, use: Use) -> Permission:
    return permission(found.of(sorted(found.sources)), lambda vector: permits_use(vector, use))


COMMERCIAL, RESEARCH = Use("commercial", True, "2026-11-22"), Use("research", False, "2026-11-22")


@pytest.mark.parametrize(
    ("one", "use", "expected"),
    [
        (record(), COMMERCIAL, YES),
        (record(), Use(), YES),
        (record(commercial="yes"), COMMERCIAL, YES),
        (record(commercial="no"), COMMERCIAL, NO),
        (record(commercial="no"), RESEARCH, YES),
        (record(commercial="no"), Use(), UNDETERMINED),
        (record(commercial="no"), Use("ai-pre-training"), UNDETERMINED),
        (record(commercial="unknown"), COMMERCIAL, UNDETERMINED),
        (record("CC-BY-NC-4.0", commercial="yes"), COMMERCIAL, NO),
        (record("undetermined", commercial="yes"), COMMERCIAL, UNDETERMINED),
        (record("undetermined"), RESEARCH, UNDETERMINED),
        (record("LicenseRef-acme", LegalBasis.CONTRACT), RESEARCH, UNDETERMINED),
        (record("LicenseRef-acme", LegalBasis.CONSENT), COMMERCIAL, UNDETERMINED),
        (record(basis=LegalBasis.UNDETERMINED), RESEARCH, UNDETERMINED),
        (record(rights_status="disputed"), RESEARCH, UNDETERMINED),
        (record(rights_status="undetermined"), RESEARCH, UNDETERMINED),
        (record(rights_status="clear"), RESEARCH, YES),
        (record(purposes_allowed=["Research"]), RESEARCH, YES),
        (record(purposes_allowed=["teaching"]), RESEARCH, NO),
        (record(purposes_allowed=["teaching"]), Use(), UNDETERMINED),
        (record(purposes_forbidden=["research"]), RESEARCH, NO),
        (record(purposes_forbidden=["war"]), RESEARCH, YES),
        (record(purposes_forbidden=["war"]), Use("any", True), NO),
        (record(purposes_allowed=[]), RESEARCH, NO),
        (record(expiry="2026-11-22"), RESEARCH, YES),
        (record(expiry="2026-11-21"), RESEARCH, NO),
        (record(expiry="2026-11-21T23:00:00Z"), RESEARCH, NO),
        (record(undetermined=["license_expression"]), RESEARCH, UNDETERMINED),
        (record(undetermined=["expiry"]), RESEARCH, UNDETERMINED),
        (record(undetermined=["grade"]), RESEARCH, YES),
    ],
)
def test_records_tighten_licences(one: SourceRecord, use: Use, expected: Permission) -> None:
    assert asked(LicenceFolds({"s": [one]}), use) is expected


def test_all_that_is_known_of_a_source_holds() -> None:
    assert asked(LicenceFolds({"s": [record(), record("CC-BY-NC-4.0")]}), COMMERCIAL) is NO
    assert LicenceFolds({"s": []}).of(["s"]) == UNKNOWN
    assert LicenceFolds({}).of(["nobody"]) == UNKNOWN


def test_a_field_that_is_no_list_is_no_permission() -> None:
    with pytest.raises(MalformedInputError):
        LicenceFolds({"s": [record(purposes_forbidden="war")]}).of(["s"])


def test_the_last_day_is_the_first_of_all() -> None:
    folds = LicenceFolds(
        {n: [record(expiry=day)] for n, day in zip("abc", ("2028", "2026", "2027"), strict=True)}
    )
    (vector,) = folds.of("abc")
    assert vector.expiry == "2026"


def test_what_the_data_are_for() -> None:
    assert use_of(None) == Use(None, None)
    assert use_of("Research") == Use("research", False)
    assert use_of("AI pre-training") == Use("ai_pre_training", None)
    assert use_of("commercial") == Use("commercial", True)
    assert use_of(None, ["custom", None]).commercial is None
    assert use_of("research", ["ecommerce"]).commercial is True


# Licences of one's own


def test_a_declared_licence_permits_what_is_said_and_nothing_else() -> None:
    declared = declared_licences(
        {
            "LicenseRef-acme": {"commercial": "yes", "redistribute": False, "purposes": ["AI training"]},
            "LicenseRef-alike": {
                "derivatives": "yes",
                "share_alike": ["LicenseRef-alike"],
                "own_terms": False,
            },
        }
    )
    (vector,) = choices_of("LicenseRef-acme", declared)
    assert (vector.commercial, vector.redistribute, vector.adapt, vector.unnamed) == (
        YES,
        NO,
        UNDETERMINED,
        UNDETERMINED,
    )
    assert vector.purposes == {"ai_training"}
    assert declared["LicenseRef-acme"].own_terms
    assert accepted_by("LicenseRef-alike", declared) == {"LicenseRef-alike"}
    contract = record("LicenseRef-acme", LegalBasis.CONTRACT)
    folds = LicenceFolds({"s": [contract]}, declared)
    assert asked(folds, Use("ai_training", True)) is YES


@pytest.mark.parametrize(
    "licences",
    [
        {"MIT": {"commercial": "yes"}},
        {"CC-BY-NC-4.0": {"commercial": "yes"}},
        {"LicenseRef-x OR MIT": {}},
        {"LicenseRef-x WITH Classpath-exception-2.0": {}},
        {"no such licence": {}},
        {"undetermined": {"commercial": "yes"}},
        {"LicenseRef-x": {"comercial": "yes"}},
        {"LicenseRef-x": {"commercial": "maybe"}},
        {"LicenseRef-x": {"commercial": 1}},
        {"LicenseRef-x": {"purposes": "research"}},
        {"LicenseRef-x": {"share_alike": ["CC-BY-9.0"]}},
    ],
)
def test_declarations_that_make_no_sense_are_refused(licences: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(LicenceSettingsError):
        declared_licences(licences)


def test_licences_that_the_table_lacks_can_be_declared() -> None:
    declared = declared_licences({"Elastic-2.0": {"commercial": "yes", "derivatives": True}})
    assert class_of("Elastic-2.0") is None
    (vector,) = choices_of("Elastic-2.0", declared)
    assert vector.share_adapted is YES
