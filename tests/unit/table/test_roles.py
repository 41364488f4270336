"""The rules for tables in dsvc.toml."""

from __future__ import annotations

import pytest

from dsvc.table.roles import ROLES, TableRule, TableRules, TableRulesError

RULES = """\
[policy]
packs = ["x"]

[tables."*.csv"]
key = "id"

[tables."data/"]
key = ["lang", "n"]
label = "标签"
annotator = ["first", "second"]

[tables."/data/原始/**/*.jsonl"]
key = ["编号"]
""".encode()


def columns(rule: TableRule) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    return rule.key, dict(rule.roles)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a.csv", ("id",)),
        ("deep/er/a.csv", ("id",)),
        ("data/a.csv", ("lang", "n")),  # the last one that matches
        ("x/data/a.bin", ("lang", "n")),
        ("data/原始/a.jsonl", ("编号",)),
        ("data/原始/b/c.jsonl", ("编号",)),
        ("x/data/原始/a.jsonl", ("lang", "n")),
        ("a.tsv", ()),
    ],
)
def test_the_last_match_wins(path: str, key: tuple[str, ...]) -> None:
    assert TableRules.parse(RULES, "dsvc.toml").for_path(path.encode()).key == key


def test_roles_are_of_the_same_section() -> None:
    rules = TableRules.parse(RULES, "dsvc.toml")
    assert columns(rules.for_path(b"data/x")) == (
        ("lang", "n"),
        {"label": ("标签",), "annotator": ("first", "second")},
    )
    assert columns(rules.for_path(b"a.csv")) == (("id",), {})
    assert rules.for_path(b"\xff\xfe.csv").key == ("id",)


def test_every_role_is_known() -> None:
    text = '[tables."*"]\n' + "".join(f'{role} = "c"\n' for role in ROLES)
    assert set(TableRules.parse(text.encode(), "x").for_path(b"a").roles) == set(ROLES)


@pytest.mark.parametrize(
    "data", [b"", b"[policy]\nx = 1\n", b"\xef\xbb\xbf[tables]\n", b"[lineage]\nkey = 1\n"]
)
def test_without_sections_nothing_is_said(data: bytes) -> None:
    rules = TableRules.parse(data, "x")
    assert not rules
    assert rules.for_path(b"a.csv") == TableRule()


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [
        ('[tables."*.csv"]\nkey = [1]\n', 2, "key takes the name", None),
        ('[tables."*.csv"]\nkey = []\n', 2, "key takes the name", None),
        ('[tables."*.csv"]\nkey = ""\n', 2, "key takes the name", None),
        ('[tables."*.csv"]\n\nkey = ["a", "a"]\n', 3, "twice", None),
        ('[tables."a"]\nkey = "x"\n[tables."*.csv"]\nkey = "x"\nlable = "y"\n', 5, "'lable'", "label"),
        ('[tables."a"]\nlicense = "y"\n', 2, "'license'", "licence"),
        ('[tables."a"]\nzzz = "y"\n', 2, "'zzz'", "known are: key"),
        ('[x]\ny = 1\n[tables."a"]\nKey = "y"\n', 4, "'Key'", "key"),
        ('[tables]\n"a.csv" = 3\n', 2, "must be a section", "looks like"),
        ("tables = 3\n", 1, "must hold sections", "looks like"),
        ('[tables]\n"a.csv" = {key = "id", batches = "x"}\n', 2, "'batches'", "batch"),
        ('[tables."!a"]\nkey = "x"\n', 1, "matches no path", None),
        ('[tables."#a"]\nkey = "x"\n', 1, "matches no path", None),
        ('[tables." "]\nkey = "x"\n', 1, "matches no path", None),
        ('[tables."a"]\nkey = "x\n', 2, "not valid TOML", None),
        ('[tables."a"]\nkey = "x"\nkey = "y"\n', 3, "not valid TOML", None),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, line: int, said: str, hint: str | None) -> None:
    with pytest.raises(TableRulesError) as caught:
        TableRules.parse(text.encode(), "dsvc.toml")
    error = caught.value
    assert error.exit_code == 2
    assert f"dsvc.toml, line {line}" in error.message
    assert said in error.message
    if hint is not None:
        assert hint in (error.hint or "")


def test_what_is_no_text() -> None:
    with pytest.raises(TableRulesError, match="line 2: not UTF-8"):
        TableRules.parse(b"# x\n\xff\xfe\n", "dsvc.toml")
    with pytest.raises(TableRulesError):
        TableRules.parse(b"x = " + b"[" * 100_000, "dsvc.toml")
