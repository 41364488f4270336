"""``--json``: exactly the promised keys, one object or one a line, nothing else on standard output."""

from __future__ import annotations

import json
from pathlib import Path

from dsvc.cli.frame.verbs import VERBS
from tests.resident import resident
from tests.transcripts.shell import Shell

HEX_40, HEX_64 = 40, 64


def test_init_add_commit(fast_path: Path) -> None:
    shell = Shell(fast_path / "data")
    made = shell.one("init")
    assert made["path"] == str(fast_path / "data" / ".dsvc")
    assert isinstance(made["format"], int)
    shell.write("a", "x" * 100)
    added = shell.one("add", ".")
    assert set(added) >= {
        "added",
        "modified",
        "removed",
        "unchanged",
        "skipped",
        "bytes",
        "new_bytes",
        "stored_bytes",
    }
    assert (added["added"], added["bytes"], added["skipped"]) == (1, 100, [])
    committed = shell.one("commit", "-m", "First")
    assert set(committed) >= {"commit", "branch", "parents", "manifest", "files", "bytes", "verdict"}
    assert len(committed["commit"]) == HEX_40
    assert len(committed["manifest"]) == HEX_64
    assert (committed["branch"], committed["parents"], committed["verdict"]) == ("main", [], None)
    assert (committed["files"], committed["bytes"]) == (1, 100)


def test_nothing_to_commit_exits_with_1_and_an_error_object(filled: Shell) -> None:
    done = filled.run("commit", "-m", "Again", "--json", code=1)
    assert done.stdout == b""
    assert json.loads(done.stderr)["code"] == "nothing-to-commit"


def test_status(filled: Shell) -> None:
    clean = filled.one("status")
    assert set(clean) >= {
        "branch",
        "head",
        "staged",
        "unstaged",
        "untracked",
        "conflicts",
        "pending_runs",
        "clean",
    }
    assert clean["clean"] is True
    assert clean["pending_runs"] == []
    filled.write("untracked", "x")
    assert filled.one("status")["clean"] is True
    filled.write("changed.csv", "more")
    filled.run("add", "changed.csv")
    (filled.folder / "new.txt").unlink()
    found = filled.one("status")
    assert found["staged"] == [{"path": "changed.csv", "change": "modified"}]
    assert found["unstaged"] == [{"path": "new.txt", "change": "removed"}]
    assert found["untracked"] == [{"path": "untracked", "change": "untracked"}]
    assert found["clean"] is False


def test_log_and_show(filled: Shell) -> None:
    second, first = filled.lines("log")
    assert set(second) >= {"commit", "parents", "author", "date", "message", "refs", "runs", "trailers"}
    assert second["parents"] == [first["commit"]]
    assert first["parents"] == []
    assert second["author"] == "Ada <ada@example.org>"
    assert second["date"].endswith("Z")
    assert second["message"].startswith("Second")
    assert second["refs"] == ["main"]
    assert second["runs"] == []
    assert len(second["trailers"]["Dsvc-Manifest"]) == HEX_64
    assert len(filled.lines("log", "-n", "1")) == 1
    assert len(filled.lines("log", "--", "数据")) == 1
    shown = filled.one("show", "HEAD")
    assert shown["summary"] == {"added": 1, "removed": 1, "modified": 1, "renamed": 1}
    assert shown["verdict"] is None


def test_diff(filled: Shell) -> None:
    found = filled.one("diff", "HEAD~1", "HEAD")
    assert set(found) >= {"from", "to", "summary", "files"}
    assert found["summary"] == {"added": 1, "removed": 1, "modified": 1, "renamed": 1}
    files = {item["path"]: item for item in found["files"]}
    assert all(
        set(item) >= {"path", "change", "old_path", "kind", "old_size", "new_size"} for item in files.values()
    )
    assert files["new.txt"]["old_path"] == "old.txt"
    assert files["new.txt"]["change"] == "renamed"
    assert files["数据"]["old_size"] is None
    assert files["gone"]["new_size"] is None
    assert files["changed.csv"]["kind"] in {"text", "table"}
    assert filled.one("diff")["to"] == "WORKTREE"
    assert filled.one("diff", "--staged")["to"] == "STAGED"
    filled.one("diff", "HEAD~1", "HEAD", "--exit-code", code=1)
    filled.one("diff", "--exit-code")


def test_diff_of_tables(filled: Shell) -> None:
    files = {item["path"]: item for item in filled.one("diff", "HEAD~1", "HEAD")["files"]}
    assert files["数据"]["table"] is None
    table = files["changed.csv"]["table"]
    assert files["changed.csv"]["kind"] == "table"
    assert set(table) >= {
        "key",
        "key_from",
        "rows",
        "cells_changed",
        "by_column",
        "schema",
        "changes",
        "truncated",
    }
    assert set(table["rows"]) == {"added", "removed", "changed", "unchanged"}
    assert set(table["schema"]) == {"added", "removed", "retyped", "renamed"}
    assert all(set(item) >= {"op", "key", "before", "after"} for item in table["changes"])
    assert table["truncated"] is False
    limited = filled.one("diff", "HEAD~1", "HEAD", "--limit", "1", "--schema", "--stats", "--", "changed.csv")
    (table,) = [item["table"] for item in limited["files"]]
    assert len(table["changes"]) == 1
    assert table["truncated"] is True
    assert {"column", "before", "after", "psi", "moved"} <= set(table["statistics"][0])
    filled.write("changed.csv", 'id,v\n1,"x\n')
    (file,) = filled.one("diff", code=1)["files"]
    assert file["table"] is None
    assert "quote" in file["table_error"]


def test_apply(filled: Shell) -> None:
    filled.one("diff", "HEAD~1", "HEAD", "--patch", "-o", "../p")
    filled.run("checkout", "HEAD~1")
    assert filled.one("apply", "--check", "../p")["undo"] is None
    applied = filled.one("apply", "../p")
    assert set(applied) == {"files", "checked", "undo"}
    assert {item["change"] for item in applied["files"]} == {"added", "removed", "modified", "renamed"}
    assert all(set(item) == {"path", "change", "rows", "exact"} for item in applied["files"])
    done = filled.run("apply", "../p", "--json", code=16)
    assert json.loads(done.stderr)["code"] == "patch-conflict"


def test_checkout_and_restore(filled: Shell) -> None:
    keys = {"head", "branch", "written", "removed", "unchanged", "bytes"}
    moved = filled.one("checkout", "HEAD~1")
    assert set(moved) >= keys
    assert moved["branch"] is None
    assert filled.one("checkout", "-b", "more", "main")["branch"] == "more"
    filled.write("changed.csv", "mine")
    restored = filled.one("restore", "changed.csv")
    assert set(restored) >= keys
    assert restored["written"] == 1
    filled.write("changed.csv", "mine")
    done = filled.run("checkout", "HEAD~1", "--json", code=15)
    assert json.loads(done.stderr)["code"] == "would-overwrite"
    assert done.stdout == b""
    assert set(filled.one("reset", "--hard", "HEAD~1")) >= keys


def test_branches_tags_and_logs_are_listings(filled: Shell) -> None:
    assert filled.one("branch", "side")["name"] == "side"
    assert filled.lines("branch") == [
        {"name": "main", "commit": filled.one("show")["commit"], "current": True},
        {"name": "side", "commit": filled.one("show")["commit"], "current": False},
    ]
    filled.one("tag", "v1", "-m", "message")
    assert filled.lines("tag")[0]["message"] == "message"
    assert {item["message"] for item in filled.lines("reflog")}
    assert all(set(item) >= {"ref", "old", "new", "date", "message"} for item in filled.lines("reflog"))
    operations = filled.lines("op", "log")
    assert [item["verb"] for item in operations][:2] == ["tag", "branch"]
    assert filled.one("undo")["verb"] == "tag"


def test_merge_conflicts_resolve(filled: Shell) -> None:
    filled.run("checkout", "-b", "side")
    filled.write("changed.csv", "theirs\n")
    filled.run("commit", "-a", "-m", "Theirs")
    filled.run("checkout", "main")
    filled.write("changed.csv", "ours\n")
    filled.run("commit", "-a", "-m", "Ours")
    merged = filled.one("merge", "side", code=16)
    assert merged["commit"] is None
    (conflict,) = merged["conflicts"]
    assert set(conflict) >= {"path", "kind", "rows"}
    assert conflict["path"] == "changed.csv"
    assert conflict["rows"] is None
    done = filled.run("commit", "-m", "Too early", "--json", code=16)
    assert done.stdout == b""
    assert json.loads(done.stderr)["kind"] == "error"
    (detail,) = filled.lines("conflicts")
    assert set(detail) >= {"path", "kind", "base", "ours", "theirs"}
    assert detail["ours"]["size"] == 5
    assert filled.one("resolve", "changed.csv", "--theirs")["conflicts_left"] == 0
    assert len(filled.one("commit", "-m", "Both")["parents"]) == 2
    assert filled.one("merge", "side")["commit"] is None or filled.one("merge", "side")["up_to_date"]


def test_other_verbs(filled: Shell) -> None:
    assert set(filled.lines("ls")[0]) >= {"path", "size", "xxh3", "kind", "rows"}
    assert {item["path"] for item in filled.lines("ls", "HEAD~1:", "-r")} == {
        "changed.csv",
        "old.txt",
        "gone",
    }
    assert filled.one("cat", "HEAD~1:gone")["text"] == "id\n1\ngone\n"
    assert set(filled.one("fsck")) >= {"ok", "objects", "bytes", "defects"}
    assert set(filled.one("gc", "--dry-run")) >= {"candidates", "bytes", "deleted", "trashed"}
    assert filled.one("du")["commits"] == 2
    assert filled.one("config", "user.name", "Grace") == {"key": "user.name", "value": "Grace"}
    assert filled.one("config", "core.pager", code=1)["value"] is None
    assert {"key", "value", "origin"} == set(filled.one("config")["settings"][0])
    assert filled.one("mv", "数据", "data")["path"] == "data"
    assert filled.one("rm", "data", "--cached")["head"]
    assert filled.one("stash")["commit"]
    assert filled.lines("stash", "list")[0]["stash"] == "stash@{0}"
    assert filled.one("stash", "pop")["conflicts"] == []
    filled.write("junk", "x")
    assert {"path": "junk"} in filled.one("clean", "-n")["paths"]
    assert filled.one("clean")["removed"] >= 1
    assert filled.one("archive", "HEAD", "-o", "../out.tar")["files"] == 3
    filled.run("reset", "--hard", "HEAD")
    assert filled.one("revert", "HEAD")["conflicts"] == []
    assert filled.one("cherry-pick", "HEAD~1")["commit"]
    assert "complete" in filled.one("completion", "bash")["script"]
    assert "Usage" in filled.one("help", "add")["help"] or "用法" in filled.one("help", "add")["help"]
    assert filled.one("version")["version"]


def test_every_verb_takes_json(tmp_path: Path) -> None:
    for name in VERBS:
        done = resident().run(name, "--json", "--no-such-option", folder=tmp_path, environ={})
        assert done.returncode == 2
        assert done.stdout == b""
        assert json.loads(done.stderr)["code"] == "usage", name
