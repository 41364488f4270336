"""``--json`` of the verbs on sources, policy and hooks."""

from __future__ import annotations

import json

from tests.transcripts.shell import Shell

HEX_40, HEX_64 = 40, 64


def test_source(filled: Shell) -> None:
    given = ["--title", "语料", "--license", "CC-BY-4.0", "--acquisition", "open_dataset"]
    made = filled.one(
        "source", "add", "源", "--path", "数据", *given, "--legal-basis", "licence", "--field", "grade=core"
    )
    keys = {
        "source_id",
        "title",
        "acquisition",
        "legal_basis",
        "license_expression",
        "status",
        "reason",
        "in_force",
        "ongoing",
        "covers",
        "evidence",
        "fields",
        "undetermined",
        "attested_at",
        "discovered",
        "commit",
        "files",
        "bytes",
        "records",
        "missing_evidence",
        "skipped",
        "history",
    }
    assert set(made) >= keys
    assert made["covers"] == [{"path": "数据", "where": None}]
    assert made["missing_evidence"] == [["licence_text"]]
    assert (made["files"], made["status"], made["fields"]) == (1, "active", {"grade": "core"})
    filled.write("LICENSE", "CC BY")
    (evidence,) = filled.one("source", "set", "源", "--evidence", "LICENSE@2024-01-01..")["evidence"]
    assert evidence["digest"].startswith("blake3:")
    assert (evidence["type"], evidence["valid_from"], evidence["path"]) == (
        "licence_text",
        "2024-01-01",
        "LICENSE",
    )
    (found,) = filled.lines("ls", "STAGED:", "--source", "源", "--grade", "核心")
    assert found["path"] == "数据"
    assert (found["sources"], found["licences"]) == (["源"], ["CC-BY-4.0"])
    assert (found["grade"], found["stage"], found["rights"]) == ("core", "reserved", "undetermined")
    assert "sources" not in filled.lines("ls", "STAGED:")[0]
    (group,) = filled.lines("source", "list", "--by", "grade")
    assert (group["by"], group["value"], group["sources"], group["files"]) == ("grade", "core", 1, 1)
    assert set(group) == {"by", "value", "sources", "files", "rows", "bytes"}
    assert filled.one("source", "update", "源")["changed"] is True
    assert [step["verb"] for step in filled.one("source", "show", "源")["history"]] == [
        "update",
        "set",
        "add",
    ]
    assert filled.one("source", "withdraw", "源", "--reason", "侵权")["reason"] == "侵权"
    assert [line["status"] for line in filled.lines("source", "list")] == ["withdrawn"]
    assert [line["source_id"] for line in filled.lines("source")] == ["源"]
    assert "source_id" in filled.one("source", "export", "源")["text"]
    assert "acquisition" in filled.one("source", "template", "crawl")["text"]
    done = filled.run("source", "show", "无", "--json", code=14)
    assert json.loads(done.stderr)["code"] == "no-such-source"


def test_policy(filled: Shell) -> None:
    packs = {line["pack"]: line for line in filled.lines("policy", "list")}
    assert set(packs["default"]) == {"pack", "version", "date", "title", "rules", "digest", "in_force"}
    assert not packs["default"]["in_force"]
    rules = filled.lines("policy", "list", "--rules")
    assert {"rule", "title", "packs", "settled_by"} == set(rules[0])
    assert "default@2026.11" in next(each["packs"] for each in rules if each["rule"] == "SRC-01")
    filled.write("dsvc.toml", '[policy]\npacks = ["default"]\n')
    assert filled.one("policy")["unstaged"]
    filled.run("add", "dsvc.toml")
    shown = filled.one("policy", "show")
    assert {"policies", "problems", "roster", "unstaged", "legal_advice"} <= set(shown)
    assert not shown["legal_advice"]
    # The policy of the version before counts too, and names no pack.
    (used,) = [each for each in shown["policies"] if each["packs"]]
    assert used["settings"]["packs"] == ["default"]
    rule = next(each for each in used["rules"] if each["rule"] == "SRC-01")
    assert {"pack", "severity", "stage", "clause", "binding", "verified", "parameters", "given"} <= set(rule)
    told = filled.one("policy", "explain", "src-08", "--language", "en")
    assert {"title", "asks", "remedy", "settled_by", "parameters", "packs", "examples"} <= set(told)
    assert [each["outcome"] for each in told["examples"]] == ["PASS", "FAIL", "INCOMPLETE"]
    assert set(filled.one("policy", "show", "default")["rules"]) >= {"SRC-01", "PIL-02"}
    results = filled.lines("policy", "test", "open-licences")
    assert {"pack", "rule", "example", "expected", "outcome", "ok", "messages"} == set(results[0])
    assert all(each["ok"] for each in results)
    done = filled.run("policy", "explain", "SRC-99", "--json", code=2)
    assert json.loads(done.stderr)["code"] == "unknown-rule"


def test_hook(filled: Shell) -> None:
    made = filled.one("hook", "install", "pre-receive")
    assert (made["hook"], made["place"], made["state"], made["kept"]) == (
        "pre-receive",
        "dsvc",
        "installed",
        None,
    )
    assert set(made) == set(filled.lines("hook", "list")[0]) == set(filled.lines("hook")[0])
    filled.write("more.csv", "id\n1\n")
    filled.run("add", "more.csv")
    said = filled.one("hook", "run", "pre-commit", code=22)
    assert set(said) == {"hook", "exit_code", "verdicts"}
    assert said["exit_code"] == 22
    assert {"judged", "outcome", "policy", "violations", "exit_code", "verdict"} <= set(said["verdicts"][0])
    done = filled.run("hook", "install", "pre-commit", "--json", code=14)
    assert json.loads(done.stderr)["code"] == "not-found"
    done = filled.run("hook", "allow", "pre-commit", "--json", code=14)
    assert json.loads(done.stderr)["kind"] == "error"
