"""XB-01 to XB-03: numbers of the year at their borders, mechanisms, regions."""

from __future__ import annotations

import pytest

from dsvc.lineage.validation import Outcome
from dsvc.policy.regions import lies_within, touches
from dsvc.policy.rules.transfers import Mechanism, mechanism_of
from tests.policykit import Answer, ask

PASS, FAIL, INCOMPLETE = Outcome.PASS, Outcome.FAIL, Outcome.INCOMPLETE


def transferred(*sources: str, rule: str = "XB-01", head: str = "", **parameters: bool | int) -> Answer:
    files = ", ".join(f'{{ path = "{n}.txt", content = "{n}" }}' for n in range(len(sources)))
    text = f"{head}\nfile = [{files}]\n"
    for number, each in enumerate(sources):
        text += f'[[source]]\nid = "源-{number}"\npaths = ["{number}.txt"]\n{each}\n'
    return ask(rule, text, parameters)


def out(persons: int | str, sensitive: int | str = 0, mechanism: str = "", more: str = "") -> str:
    parts = ['direction = "out"']
    parts += [f"persons = {persons}"] if persons != "" else []
    parts += [f"sensitive_persons = {sensitive}"] if sensitive != "" else []
    parts += [f'mechanism = "{mechanism}"'] if mechanism else []
    parts += [more] if more else []
    return f'contains_pi = "yes"\ncross_border = {{ {", ".join(parts)} }}'


LAW = [
    # persons, sensitive, what the provisions of 2024 ask for (articles 5, 7, 8; "以上" includes the number)
    (99_999, 0, Mechanism.NONE),
    (100_000, 0, Mechanism.CONTRACT),
    (999_999, 0, Mechanism.CONTRACT),
    (1_000_000, 0, Mechanism.ASSESSMENT),
    (0, 1, Mechanism.CONTRACT),
    (0, 9_999, Mechanism.CONTRACT),
    (0, 10_000, Mechanism.ASSESSMENT),
]


@pytest.mark.parametrize(("persons", "sensitive", "needed"), LAW)
def test_numbers_of_the_year(persons: int, sensitive: int, needed: Mechanism) -> None:
    for text, mechanism in (("豁免", 0), ("标准合同", 1), ("certification", 1), ("安全评估", 2)):
        expected = PASS if mechanism >= needed else FAIL
        assert transferred(out(persons, sensitive, text)).outcome is expected
        # The same numbers, spread over two sources.
        half = persons // 2
        both = transferred(out(half, 0, text), out(persons - half, sensitive, text))
        assert both.outcome is expected
    assert transferred(out(persons, sensitive)).outcome is (INCOMPLETE if needed else PASS)
    assert transferred(out(persons, sensitive, "by mail")).outcome is (INCOMPLETE if needed else PASS)


def test_numbers_that_nobody_stated() -> None:
    assert transferred(out("", "", "安全评估")).outcome is INCOMPLETE
    assert transferred(out("", "").replace('"yes"', '"none"')).outcome is PASS
    assert "cross_border.persons" in transferred(out("", 0)).messages
    assert transferred(out(1, 1, "标准合同", 'valid_to = "2026-11-21"')).outcome is FAIL
    assert transferred(out(1, 1, "标准合同", 'valid_to = "2026-11-22"')).outcome is PASS


def test_what_does_not_leave_does_not_count() -> None:
    many = out(2_000_000, 20_000)
    assert transferred(many).outcome is INCOMPLETE
    assert transferred(many.replace('"out"', '"in"')).outcome is PASS
    assert transferred(many.replace('"out"', '"out", transit = "yes"')).outcome is PASS
    assert transferred(many.replace('direction = "out",', "")).outcome is INCOMPLETE
    assert transferred(many + '\nundetermined = ["cross_border"]').outcome is INCOMPLETE
    home = 'settings = { region = "CN" }'
    for lines in ('contains_pi = "yes"', 'contains_pi = "unknown"', ""):
        assert transferred(lines, head=home).outcome is PASS
        assert transferred(lines).outcome is INCOMPLETE, "it may be anywhere"
    assert transferred('contains_pi = "none"').outcome is PASS


def test_personal_data_that_is_kept_abroad_must_say_whether_it_left() -> None:
    abroad = 'settings = { region = "US" }'
    assert transferred('contains_pi = "yes"', head=abroad).outcome is INCOMPLETE
    assert transferred('origin_geography = ["CN-SH"]', head=abroad).outcome is INCOMPLETE
    assert transferred('contains_pi = "yes"\norigin_geography = ["US"]', head=abroad).outcome is PASS
    assert transferred('contains_pi = "none"', head=abroad).outcome is PASS
    assert transferred('contains_pi = "yes"', head='settings = { region = "CN-BJ" }').outcome is PASS


def test_an_operator_of_critical_infrastructure_needs_an_assessment() -> None:
    assert transferred(out(1, 0, "合同"), critical_operator=True).outcome is FAIL
    assert transferred(out(1, 0, "评估"), critical_operator=True).outcome is PASS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Standard contract", Mechanism.CONTRACT),
        ("SCC", Mechanism.CONTRACT),
        ("个人信息保护认证", Mechanism.CONTRACT),
        ("数据出境安全评估", Mechanism.ASSESSMENT),
        ("exempt", Mechanism.NONE),
        ("contract or assessment", None),
        ("letter", None),
    ],
)
def test_words_for_mechanisms(text: str, expected: Mechanism | None) -> None:
    assert mechanism_of(text) is expected


# XB-02


@pytest.mark.parametrize(
    ("region", "lines", "expected"),
    [
        ("CN-BJ", 'storage_allowed = ["CN"]', PASS),
        ("de", 'storage_allowed = ["EU"]', PASS),
        ("NO", 'storage_allowed = ["EU"]', FAIL),
        ("NO", 'storage_allowed = ["EEA", "US"]', PASS),
        ("EU", 'processing_allowed = ["DE"]', FAIL),
        ("EU", 'processing_forbidden = ["DE"]', FAIL),
        ("CN", 'storage_allowed = ["CN-BJ"]', FAIL),
        ("CN", 'storage_forbidden = ["CN-BJ"]', FAIL),
        ("CN", 'storage_forbidden = ["US"]', PASS),
        ("CN", 'storage_allowed = ["全球"]', PASS),
        ("CN", 'storage_allowed = ["CN"]\nstorage_forbidden = ["CN"]', FAIL),
        ("CN", 'undetermined = ["storage_forbidden"]', INCOMPLETE),
        ("", 'processing_forbidden = ["US"]', INCOMPLETE),
        ("", "", PASS),
    ],
)
def test_regions(region: str, lines: str, expected: Outcome) -> None:
    assert transferred(lines, rule="XB-02", head=f'settings = {{ region = "{region}" }}').outcome is expected


def test_regions_within_each_other() -> None:
    assert lies_within("FR", ["eea"])
    assert lies_within("EU", ["EEA"])
    assert not lies_within("EEA", ["EU"])
    assert not lies_within("CNX", ["CN"])
    assert touches("EEA", ["FR"])
    assert not touches("CN", ["EU"])


# XB-03


def test_important_data_leaves_after_an_assessment_only() -> None:
    def outcome(mechanism: str, more: str = "", grade: str = 'grade = "core"', **parameters: bool) -> Outcome:
        lines = out(1, 0, mechanism, more) + "\n" + grade
        return transferred(lines, rule="XB-03", **parameters).outcome

    whole = 'filing_no = "7", valid_to = "2026-11-22"'
    assert outcome("安全评估", whole) is PASS
    assert outcome("安全评估", whole.replace("22", "21")) is FAIL
    assert outcome("standard contract", whole) is FAIL
    assert outcome("", whole) is outcome("安全评估", 'filing_no = "7"') is INCOMPLETE
    assert outcome("安全评估", 'valid_to = "2030-01-01"') is INCOMPLETE
    assert outcome("合同", grade='grade = "general"') is PASS
    assert outcome("合同", grade="") is INCOMPLETE, "what leaves is graded"
    stays = 'grade = "core"'
    assert transferred(stays, rule="XB-03").outcome is INCOMPLETE
    assert transferred(stays, rule="XB-03", head='settings = { region = "CN" }').outcome is PASS
    assert outcome("合同", grade="", critical_operator=True) is FAIL
    assert outcome("合同", grade='undetermined = ["grade"]') is INCOMPLETE
    assert outcome("合同", grade='grade = "core"\nundetermined = ["cross_border"]') is INCOMPLETE
