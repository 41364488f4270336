"""Hooks of dsvc in real git repositories, called by real git."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.hookkit import POLICY, ROOT, Place
from tests.resident import resident

SECRET = "key = 'AKIA" + "Q3EGRIXTUHBA5RDT" + "'\n"

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def test_git_is_stopped_lets_pass_what_skips_the_hook_and_check_finds_it(place: Place) -> None:
    place.dsvc("hook", "install", "pre-commit", "-q")
    place.write({"数据/raw.csv": "id,v\n1,a\n", "clean.py": "print()\n", ".gitignore": "home\n"})
    place.git("add", "-A")
    said = place.git("commit", "-m", "one", code=1)
    assert "SRC-01" in said
    assert "数据/raw.csv has no source" in said
    assert "clean.py" not in said
    assert ".gitignore" not in said
    place.git("commit", "-q", "--no-verify", "-m", "one")
    place.dsvc("add", "-q", "数据", "dsvc.toml")
    assert "refuses this commit" in place.dsvc("commit", "-m", "one", code=22)
    place.dsvc("commit", "-q", "--no-verify", "-m", "one")
    assert "S4" in place.dsvc("check", "--gate", code=22)
    # What git is about to commit counts as new, even where dsvc let it in without asking.
    place.git("rm", "-q", "--cached", "-r", "数据")
    place.git("commit", "-q", "-m", "gone")
    place.git("add", "数据")
    assert "数据/raw.csv has no source" in place.git("commit", "-m", "again", code=1)
    place.cover("数据/raw.csv")
    place.git("commit", "-q", "-m", "again")
    assert place.dsvc("hook", "run", "pre-commit") == ""


def test_what_is_in_the_index_is_judged_not_what_is_in_the_folder(place: Place) -> None:
    place.dsvc("hook", "install", "pre-commit", "-q")
    place.write({"a.txt": "text\n", "b.txt": SECRET})
    place.cover("a.txt", "b.txt")
    place.git("add", "-A", ":!proof")
    place.write({"b.txt": "text\n"})
    said = place.git("commit", "-m", "one", code=1)
    assert "SAFE-04" in said
    assert "b.txt" in said
    assert "a.txt" not in said
    place.git("commit", "-q", "-m", "one", "--", "a.txt", "dsvc.toml")
    # With -a git takes another index, in which the file is as it is in the folder, and not covered.
    place.write({"a.txt": "other\n"})
    said = place.git("commit", "-a", "-m", "two", code=1)
    assert "a.txt is not as it was when source web attested it" in said
    assert "SAFE-04" not in said


def test_what_dsvc_is_about_to_commit_is_judged_too(place: Place) -> None:
    place.write({"raw.csv": "id\n1\n", "README.md": "text\n"})
    place.dsvc("add", "-q", "raw.csv", "dsvc.toml")
    place.git("add", "README.md")
    place.dsvc("hook", "install", "pre-commit", "-q")
    assert "raw.csv has no source" in place.git("commit", "-m", "one", code=1)
    verdicts = json.loads(place.dsvc("hook", "run", "pre-commit", "--json", code=22))
    assert [(each["judged"], each["outcome"]) for each in verdicts["verdicts"]] == [
        ("staged", "FAIL"),
        ("git", "PASS"),
    ]
    assert verdicts["exit_code"] == 22


def test_names_are_only_names(place: Place) -> None:
    names = [b";rm -rf $(touch sung) `touch sung`", b"-rf", b"--", b"new\nline.csv", b"\xff\xfe'\".csv"]
    place.dsvc("hook", "install", "pre-commit", "-q")
    place.write({name: b"%d" % number for number, name in enumerate(names)})
    place.git("add", "-A", "--", ".")
    said = place.git("commit", "-m", "one", code=1)
    assert "\x1b" not in said
    answer = json.loads(place.dsvc("hook", "run", "pre-commit", "--json", code=22))
    subjects = answer["verdicts"][1]["violations"]
    assert sorted(each["subject"] for each in subjects) == sorted(n.decode("utf-8", "replace") for n in names)
    assert sorted(os.listdir(os.fsencode(place.folder))) == sorted([*names, b".dsvc", b".git", b"dsvc.toml"])
    # A name that dsvc can't have is no reason to let it pass.
    blob = place.git("hash-object", "-w", "dsvc.toml").strip()
    place.git("update-index", "--add", "--cacheinfo", f"100644,{blob},a/.DSVC/x")
    assert "alias of .dsvc" in place.dsvc("hook", "run", "pre-commit", code=41)


def test_large_files_programs_and_links(place: Place) -> None:
    place.write({"large.bin": bytes(range(256)) * (5 << 12), "tool": "#!/bin/sh\n"})
    (place.folder / "tool").chmod(0o755)
    (place.folder / "link").symlink_to("/etc/passwd")
    place.git("add", "large.bin", "tool", "link")
    assert "large.bin has no source" in place.dsvc("hook", "run", "pre-commit", code=22)
    place.cover("large.bin", "tool")
    place.dsvc("hook", "run", "pre-commit")
    assert os.listdir(place.folder / ".dsvc/tmp") == []


def test_data_in_a_folder_below(fast_path: Path) -> None:
    top = Place(fast_path / "code", fast_path)
    top.git("init", "-q", "-b", "main")
    data = Place(fast_path / "code/它的 数据", fast_path)
    data.dsvc("init", "-q", "--policy", "default")
    data.dsvc("hook", "install", "pre-commit")
    assert "-C '它的 数据'" in (top.folder / ".git/hooks/pre-commit").read_text("utf-8")
    top.write({"elsewhere.csv": "id\n1\n", "它的 数据/raw.csv": "id\n1\n"})
    top.git("add", "-A")
    said = top.git("commit", "-m", "one", code=1)
    assert "raw.csv has no source" in said
    assert "elsewhere" not in said
    data.cover("raw.csv")
    top.git("commit", "-q", "-m", "one")
    # Git runs the hook of a linked working tree with other variables; there is no dsvc repository in it.
    top.git("worktree", "add", "-q", "../linked")
    linked = Place(fast_path / "linked", fast_path)
    linked.write({"它的 数据/more.csv": "id\n2\n"})
    linked.git("add", "-A")
    linked.git("commit", "-m", "two", code=1)


def test_rules_that_only_git_has_hold_for_what_it_commits(place: Place) -> None:
    place.write({"dsvc.toml": POLICY + '[lineage]\nproject = ["notes/**"]\n', "notes/a.csv": "id\n1\n"})
    place.git("add", "-A")
    place.dsvc("hook", "run", "pre-commit")
    place.git("commit", "-q", "-m", "one")
    place.write({"notes/b.csv": "id\n1\n", "c.csv": "id\n1\n"})
    place.git("add", "-A")
    said = place.dsvc("hook", "run", "pre-commit", code=22)
    assert "c.csv has no source" in said
    assert "notes" not in said


def test_without_a_policy_the_gate_asks_for_sources(place: Place) -> None:
    (place.folder / "dsvc.toml").unlink()
    place.write({"raw.csv": "id\n1\n"})
    place.git("add", "-A")
    assert "raw.csv has no source" in place.dsvc("hook", "run", "pre-commit", code=22)


def test_a_hook_that_is_told_to_look_elsewhere_refuses(place: Place, fast_path: Path) -> None:
    other = Place(fast_path / "other", fast_path)
    other.git("init", "-q")
    place.write({"raw.csv": "id\n1\n"})
    place.git("add", "-A")
    for more in (
        {"GIT_DIR": str(other.folder / ".git")},
        {"GIT_DIR": "/nonexistent"},
        {"GIT_WORK_TREE": str(other.folder)},
    ):
        answer = json.loads(place.dsvc("hook", "run", "pre-commit", "--json", code=21, **more))
        assert answer["code"] == "hook-environment"
    place.dsvc("hook", "run", "pre-push", code=21, GIT_DIR="/nonexistent")
    assert "raw.csv" in place.dsvc("hook", "run", "pre-commit", code=22, GIT_DIR=".git", GIT_WORK_TREE=".")
    # Programs that settings name are not run, replaced objects are not believed.
    place.git("config", "diff.external", "touch sung")
    place.git("config", "core.fsmonitor", "touch sung")
    place.git("config", "diff.relative", "true")
    raw, empty = (place.git("hash-object", "-w", name).strip() for name in ("raw.csv", "/dev/null"))
    place.git("replace", raw, empty)
    assert "raw.csv has no source" in place.dsvc("hook", "run", "pre-commit", code=22)
    assert not (place.folder / "sung").exists()
    # An object that is not there is not taken for an empty one.
    place.git("replace", "-d", raw)
    (place.folder / ".git/objects" / raw[:2] / raw[2:]).unlink()
    assert "git has no content for raw.csv" in place.dsvc("hook", "run", "pre-commit", code=21)


def test_a_hook_without_git_or_dsvc_refuses(place: Place, fast_path: Path) -> None:
    place.git("add", "-A")
    nothing = fast_path / "bin"
    nothing.mkdir()
    dsvc = os.path.join(resident().folder, "dsvc")
    said = place.run(dsvc, "hook", "run", "pre-commit", code=21, PATH=str(nothing))
    assert "git was not found" in said
    place.dsvc("hook", "install", "pre-commit", "-q")
    place.git("commit", "-m", "one", code=1, PATH=f"{nothing}:/usr/bin:/bin")
    assert place.commits() == 0
    other = Place(fast_path / "other", fast_path)
    other.git("init", "-q")
    assert "no dsvc repository" in other.dsvc("hook", "run", "pre-commit", code=10)


def test_a_hook_of_somebody_else_stays(place: Place, fast_path: Path) -> None:
    hook = place.folder / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 3\n")
    assert "--force" in place.dsvc("hook", "install", "pre-commit", code=15)
    assert hook.read_text() == "#!/bin/sh\nexit 3\n"
    for kept in ("pre-commit.before-dsvc", "pre-commit.before-dsvc1"):
        answer = json.loads(place.dsvc("hook", "install", "pre-commit", "--force", "--json"))
        assert answer["kept"] == str(hook.parent / kept)
        assert (hook.parent / kept).read_text() == "#!/bin/sh\nexit 3\n"
        hook.write_text("#!/bin/sh\nexit 3\n")
    hook.unlink()
    hook.symlink_to("/nonexistent")
    place.dsvc("hook", "install", "pre-commit", code=15)
    hook.unlink()
    place.dsvc("hook", "install", "pre-commit")
    assert json.loads(place.dsvc("hook", "install", "pre-commit", "--json"))["kept"] is None
    assert hook.read_text().splitlines()[2] == 'exec dsvc hook run pre-commit "$@"'
    assert hook.stat().st_mode & 0o100
    states = [json.loads(line) for line in place.dsvc("hook", "list", "--json").splitlines()]
    assert [(each["hook"], each["place"], each["state"]) for each in states] == [
        ("pre-commit", "git", "installed"),
        ("pre-push", "git", "none"),
        ("pre-push", "dsvc", "none"),
        ("pre-receive", "dsvc", "none"),
    ]
    place.git("config", "core.hooksPath", ".githooks")
    place.dsvc("hook", "install", "pre-push")
    assert (place.folder / ".githooks/pre-push").exists()
    place.git("config", "core.hooksPath", str(fast_path / "everybody"))
    assert "other repositories" in place.dsvc("hook", "install", "pre-push", code=2)
    assert not (fast_path / "everybody").exists()


def test_hooks_have_their_places(place: Place, fast_path: Path) -> None:
    assert "by itself" in place.dsvc("hook", "install", "pre-commit", "--dsvc", code=2)
    place.dsvc("hook", "install", "pre-receive", "--git", code=2)
    place.dsvc("hook", "install", "update", code=2)
    alone = Place(fast_path / "alone", fast_path)
    alone.dsvc("init", "-q")
    assert "no git repository" in alone.dsvc("hook", "install", "pre-commit", code=14)
    alone.dsvc("hook", "install", "pre-push", "--dsvc")
    for name in ("pre-commit", "pre-push", "pre-receive"):
        lines = (ROOT / "hooks" / name).read_text().splitlines()
        assert len(lines) == 3
        assert lines[2] == f'exec dsvc hook run {name} "$@"'
    assert (alone.folder / ".dsvc/git/hooks/pre-push").read_bytes() == (ROOT / "hooks/pre-push").read_bytes()


def test_a_push_of_code_waits_for_the_data(place: Place, fast_path: Path) -> None:
    place.dsvc("hook", "install", "pre-push", "-q")
    place.git("init", "-q", "--bare", str(fast_path / "remote.git"))
    place.git("remote", "add", "origin", str(fast_path / "remote.git"))
    place.write({"raw.csv": "id\n1\n"})
    place.dsvc("add", "-q", ".")
    place.dsvc("commit", "-q", "--no-verify", "-m", "one")
    place.git("add", "dsvc.toml")
    place.git("commit", "-q", "-m", "one")
    assert "raw.csv has no source" in place.git("push", "origin", "main", code=1)
    place.git("push", "-q", "--no-verify", "origin", "main")
    place.git("push", "-q", "origin", ":main")
    place.cover("raw.csv")
    place.dsvc("commit", "-q", "--allow-empty", "-m", "two")
    place.git("push", "-q", "origin", "main")


def test_what_comes_into_a_history_is_judged_before_it_is_let_in(fast_path: Path) -> None:
    here, there = Place(fast_path / "here", fast_path), Place(fast_path / "there", fast_path)
    here.dsvc("init", "-q", "--policy", "default")
    here.write({"raw.csv": "id\n1\n"})
    here.cover("raw.csv")
    here.dsvc("add", "-q", "raw.csv", "dsvc.toml")
    here.dsvc("commit", "-q", "-m", "one")
    shutil.copytree(here.folder, there.folder, dirs_exist_ok=True)
    there.dsvc("hook", "install", "pre-receive", "-q")
    here.write({"more.csv": "id\n2\n"})
    here.dsvc("add", "-q", "more.csv")
    here.dsvc("commit", "-q", "--no-verify", "-m", "two")
    push = ("-C", ".dsvc/git", "push", "../../../there/.dsvc/git")
    # Its manifests and chunks are not there: nothing can be told, and what can't be told does not pass.
    said = here.git(*push, "main", code=1)
    assert "can't be told" in said
    assert "pre-receive hook declined" in said
    for pack in (here.folder / ".dsvc/packs").rglob("*"):
        target = there.folder / pack.relative_to(here.folder)
        if pack.is_file() and not target.exists():
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(pack, target)
    assert "more.csv has no source" in here.git(*push, "main", code=1)
    # As a pack, too, and by the policy of the branch: a version without one has to hold to it.
    there.git("-C", ".dsvc/git", "config", "receive.unpackLimit", "1")
    assert "more.csv has no source" in here.git(*push, "main", code=1)
    here.write({"dsvc.toml": ""})
    here.dsvc("add", "-q", "dsvc.toml")
    here.dsvc("commit", "-q", "--no-verify", "-m", "three")
    _copy_packs(here, there)
    said = here.git(*push, "main", code=1)
    assert "the policy gets weaker" in said
    assert "more.csv has no source" in said
    here.write({"dsvc.toml": POLICY})
    here.dsvc("add", "-q", "dsvc.toml")
    here.cover("more.csv", id_="more")
    here.dsvc("commit", "-q", "-m", "four")
    _copy_packs(here, there)
    here.git(*push, "main")
    there.dsvc("check", "main", "--gate")
    # What is recorded only grows.
    assert "would lose" in here.git(*push, ":refs/dsvc/sources/web", code=1)
    here.git(*push, "refs/dsvc/sources/more")
    assert "would lose" in here.git(*push, "+refs/dsvc/sources/web:refs/dsvc/sources/more", code=1)


def _copy_packs(here: Place, there: Place) -> None:
    shutil.copytree(here.folder / ".dsvc/packs", there.folder / ".dsvc/packs", dirs_exist_ok=True)


def test_what_leaves_a_history_is_judged(fast_path: Path) -> None:
    here = Place(fast_path / "here", fast_path)
    here.dsvc("init", "-q", "--policy", "default")
    here.write({"raw.csv": "id\n1\n"})
    here.dsvc("add", "-q", "raw.csv", "dsvc.toml")
    here.dsvc("commit", "-q", "--no-verify", "-m", "one")
    here.dsvc("branch", "side")
    here.dsvc("hook", "install", "pre-push", "--dsvc", "-q")
    here.git("init", "-q", "--bare", str(fast_path / "remote.git"))
    push = ("-C", ".dsvc/git", "push", "-q", str(fast_path / "remote.git"))
    assert "raw.csv has no source" in here.git(*push, "side:main", code=1)
    # The records of dsvc are no versions of the data.
    here.git(*push, "refs/dsvc/operations")
    here.cover("raw.csv")
    here.dsvc("commit", "-q", "--allow-empty", "-m", "two")
    here.git(*push, "main")
    here.git(*push, ":main")


@pytest.mark.parametrize(
    "data",
    [
        b"cut off",
        b"one two\n",
        b"a b c d e\n",
        b"refs/heads/x " + b"g" * 40 + b" y " + b"0" * 40 + b"\n",
        b"\n",
    ],
)
def test_what_git_would_never_say_is_refused(place: Place, data: bytes) -> None:
    place.dsvc("hook", "run", "pre-push", code=41, data=data)
    assert "in .dsvc/git" in place.dsvc("hook", "run", "pre-receive", code=21, data=data)


def test_objects_from_elsewhere_are_not_looked_at(place: Place, fast_path: Path) -> None:
    inside = Place(place.folder / ".dsvc/git", fast_path)
    missing = b"%s %s refs/heads/main\n" % (b"0" * 40, b"1" * 40)
    more = {"GIT_DIR": ".", "GIT_QUARANTINE_PATH": str(fast_path)}
    said = inside.dsvc("hook", "run", "pre-receive", code=21, data=missing, **more)
    assert "no place of this history" in said
    assert "which refs are to move" in inside.dsvc("hook", "run", "pre-receive", code=21)
    assert "can't be told" in inside.dsvc("hook", "run", "pre-receive", code=21, data=missing)
