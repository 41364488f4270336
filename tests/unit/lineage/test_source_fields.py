"""Fields of a source's record: what each takes, and what is said of what it doesn't take."""

from __future__ import annotations

import tomllib
from datetime import date

import pytest

from dsvc.lineage.license_text import LicenseExpressionError, check_license, licenses_of
from dsvc.lineage.source_fields import FIELDS, FieldKind, asked_of
from dsvc.lineage.source_values import (
    SourceFieldError,
    changed_record,
    field_values,
    new_record,
    read_changes,
)
from dsvc.model.source_record import Acquisition, SourceRecord, Status, decode_source, encode_source

BASIC = {
    "title": "网页语料",
    "acquisition": "crawl",
    "legal_basis": "tdm_exception",
    "license_expression": "undetermined",
}


def record(**more: object) -> SourceRecord:
    return new_record("网页-2024", read_changes([*BASIC.items(), *more.items()]))


def test_every_name_of_the_record_is_there() -> None:
    # The fields of the source record in the project's reference, by hand.
    names = """source_id title description supply_type acquisition modality format language issuer origin_org
    rightsholders supplier data_subject_category responsible_person ip_officer origin_geography collected_from
    collected_to ongoing obtained_at first_used issue_date previous_version legal_basis license_expression
    license_text_hash evidence purchase ip_flags rights_status purposes_allowed purposes_forbidden commercial
    operating_mode consumers_allowed share_results expiry territory contains_pi sensitive_pi minors_under_14
    pi_basis separate_consent_ref consent_refs subject_count_estimate deidentification retention_until
    pipia_ref aggregate_consumer_info category grade domain_profile trade_secret special_category
    storage_allowed storage_forbidden processing_allowed processing_forbidden custody cross_border
    tdm_reservation tdm_policy robots_verdict aipref refusal_registry_checked_at objection_window registered
    registry certificate_no valid_to deposit_ref processing_rules_ref update_rate scenario synthetic
    aigc_label c2pa_source_type pre_collection_assessment post_collection_assessment metrics blacklisted
    content_root bytes records record_schema ingest_activity signature"""
    assert set(names.split()) <= set(FIELDS)
    assert all(each.values for each in FIELDS.values() if each.kind in (FieldKind.ENUM, FieldKind.TRISTATE))


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("description", "  一段话 ", "一段话"),
        ("language", "zh,en", ["zh", "en"]),
        ("language", '["zh", "en"]', ["zh", "en"]),
        ("language", ["zh", "zh"], ["zh"]),
        ("rightsholders", '["Müller, Schmidt"]', ["Müller, Schmidt"]),
        ("commercial", True, "yes"),
        ("commercial", "FALSE", "no"),
        ("commercial", "未知", "unknown"),
        ("contains_pi", "no", "none"),
        ("contains_pi", "无", "none"),
        ("operating_mode", "结对子", "pairing"),
        ("grade", "核心", "core"),
        ("tdm_reservation", 1, "1"),
        ("modality", "Time-Series", ["time_series"]),
        ("obtained_at", date(2026, 1, 2), "2026-01-02"),
        ("obtained_at", "2026-01-02T03:04:05z", "2026-01-02T03:04:05Z"),
        ("subject_count_estimate", "1_000", 1000),
        ("pre_collection_assessment.harmful_rate", "0.05", 0.05),
        ("license_expression", "mit or apache-2.0", "MIT OR Apache-2.0"),
        ("acquisition", "open dataset", "open_dataset"),
        ("issuer", "", None),
    ],
)
def test_a_value_gets_its_form(name: str, given: object, value: object) -> None:
    assert read_changes([(name, given)]) == {name: value}


@pytest.mark.parametrize(
    ("name", "given", "message", "hint"),
    [
        ("licence", "x", "there is no field of a source 'licence'", "license_expression"),
        ("Grad", "core", "there is no field of a source 'Grad'", "did you mean grade?"),
        ("grade", "top", "grade takes one of general, important, core, not 'top'", None),
        ("grade", "importan", "grade takes one of", "did you mean important?"),
        ("commercial", "maybe", "commercial takes one of yes, no, unknown", None),
        ("obtained_at", "2026-02-30", "obtained_at takes a date that there is", None),
        ("obtained_at", "01.02.2026", "obtained_at takes a date", "2026-11-22"),
        ("obtained_at", "2026-01-02T03:04:05", "obtained_at takes a date", "2026-11-22T08:30:00Z"),
        ("subject_count_estimate", "many", "takes a number", None),
        ("subject_count_estimate", "-1", "takes a number from 0 on", None),
        ("subject_count_estimate", "nan", "takes a number", None),
        ("pre_collection_assessment.harmful_rate", "5", "takes a share from 0 to 1", "0.05"),
        ("pre_collection_assessment", "0.05", "has parts: sample, harmful_rate, date", "set one"),
        (
            "pre_collection_assessment.rate",
            "1",
            "there is no part of pre_collection_assessment",
            "harmful_rate",
        ),
        ("language", "[1]", "takes a list of texts", "zh,en"),
        ("language", "[", "takes a list", "zh,en"),
        ("description", "a\x1b[31m", "text without control characters", None),
        ("bytes", "3", "bytes is not set by hand", "show"),
        ("title", ["a"], "title takes text", None),
    ],
)
def test_a_wrong_value_is_explained(name: str, given: object, message: str, hint: str | None) -> None:
    with pytest.raises(SourceFieldError) as caught:
        read_changes([(name, given)])
    assert message in caught.value.message
    assert caught.value.exit_code == 2
    if hint:
        assert hint in (caught.value.hint or "")


def test_lists_add_up_and_other_fields_come_once() -> None:
    assert read_changes([("language", "zh"), ("language", "en,zh")]) == {"language": ["zh", "en"]}
    with pytest.raises(SourceFieldError, match="given twice"):
        read_changes([("issuer", "a"), ("issuer", "b")])


def test_a_source_without_what_it_needs_is_refused_with_all_that_is_missing() -> None:
    with pytest.raises(SourceFieldError) as caught:
        new_record("a", read_changes([("title", "A")]))
    assert caught.value.details["missing"] == ["acquisition", "legal_basis", "license_expression"]
    assert "--license SPDX" in (caught.value.hint or "")


def test_a_record_takes_values_of_toml_and_comes_back() -> None:
    values = tomllib.loads(
        """
        description = "说明"
        language = ["zh", "en"]
        ongoing = true
        collected_from = 2024-01-01
        collected_to = 2024-12-31T00:00:00Z
        subject_count_estimate = 12
        [pre_collection_assessment]
        sample = 400
        harmful_rate = 0.01
        """
    )
    made = record(**values)
    assert made.ongoing
    assert made.fields["pre_collection_assessment"] == {"harmful_rate": "0.01", "sample": "400"}
    assert made.fields["collected_to"] == "2024-12-31T00:00:00+00:00"
    assert decode_source(encode_source(made)) == made
    again = new_record(made.source_id, read_changes(field_values(made).items()))
    assert again == made


def test_parts_are_set_and_removed_one_by_one() -> None:
    made = record(**{"cross_border.direction": "out", "cross_border.persons": "5"})
    made = changed_record(made, read_changes([("cross_border.persons", "")]))
    assert made.fields["cross_border"] == {"direction": "out"}
    made = changed_record(made, read_changes([("cross_border", "")]))
    assert "cross_border" not in made.fields


def test_setting_a_field_settles_it() -> None:
    import msgspec

    made = msgspec.structs.replace(record(), undetermined=("grade", "title"))
    made = changed_record(made, read_changes([("grade", "core")]))
    assert made.undetermined == ("title",)
    with pytest.raises(SourceFieldError, match="every source must have it"):
        changed_record(made, read_changes([("title", "")]))
    with pytest.raises(SourceFieldError, match="stays as it is"):
        changed_record(made, read_changes([("source_id", "other")]))


def test_a_blacklist_comes_and_goes_by_its_field() -> None:
    made = changed_record(record(), read_changes([("blacklisted", "有害内容")]))
    assert (made.status, made.reason, made.in_force) == (Status.BLACKLISTED, "有害内容", False)
    assert field_values(made)["blacklisted"] == "有害内容"
    assert changed_record(made, read_changes([("blacklisted", "")])).in_force


def test_every_kind_of_acquisition_is_asked_for_something_of_its_own() -> None:
    asked = {kind: {each.name for each in asked_of(kind)} for kind in Acquisition}
    assert "user_agent" in asked[Acquisition.CRAWL] - asked[Acquisition.PURCHASE]
    assert "supplier" in asked[Acquisition.PURCHASE] - asked[Acquisition.CRAWL]
    assert "generator" in asked[Acquisition.SYNTHETIC]
    assert all("grade" in names for names in asked.values())


@pytest.mark.parametrize(
    ("text", "normal", "names"),
    [
        ("cc-by-4.0", "CC-BY-4.0", ["CC-BY-4.0"]),
        (
            "MIT and LicenseRef-合同".replace("合同", "dsvc-1"),
            "MIT AND LicenseRef-dsvc-1",
            ["MIT", "LicenseRef-dsvc-1"],
        ),
        ("Undetermined", "undetermined", []),
        ("GPL-2.0-only WITH Classpath-exception-2.0",) * 2 + (["GPL-2.0-only", "Classpath-exception-2.0"],),
    ],
)
def test_licences_are_spdx(text: str, normal: str, names: list[str]) -> None:
    assert check_license(text) == normal
    assert licenses_of(normal) == names


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("CC-BY-4", "CC-BY-4.0"),
        ("CC BY 4.0", "CC-BY-4.0"),
        ("(MIT", "SPDX"),
        ("", "undetermined"),
        ("许可", "LicenseRef"),
    ],
)
def test_an_unknown_licence_says_what_could_be_meant(text: str, hint: str) -> None:
    with pytest.raises(LicenseExpressionError) as caught:
        check_license(text)
    assert hint in (caught.value.hint or "")
