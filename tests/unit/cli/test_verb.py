"""Parsing: options before and after the verb, ``--``, options with several values, what was meant."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dsvc.cli.environment.settings import Settings
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import AFTER_DASHES, Verb, after_dashes
from dsvc.cli.frame.verbs import VERBS
from dsvc.cli.main import make_group, run


def dsvc(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dsvc", *arguments],
        capture_output=True,
        encoding="utf-8",
        check=False,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C.UTF-8", "NO_COLOR": "1", **environment},
    )


def parse(*arguments: str, splits: bool = True) -> tuple[tuple[str, ...], tuple[str, ...], list[str] | None]:
    seen: list[tuple[tuple[str, ...], tuple[str, ...], list[str] | None]] = []

    def callback(words: tuple[str, ...], pattern: tuple[str, ...], message: str | None) -> None:
        seen.append((words, pattern, after_dashes()))

    command = Verb(
        "try",
        splits=splits,
        greedy=["--pattern"],
        callback=callback,
        params=[
            click.Argument(["words"], nargs=-1),
            click.Option(["--pattern"], multiple=True),
            click.Option(["-m", "--message"]),
        ],
    )
    with command.make_context("try", list(arguments)) as context:
        command.invoke(context)
        assert AFTER_DASHES in context.meta or not splits
    return seen[0]


def test_words_after_the_dashes_are_kept_apart() -> None:
    assert parse("a", "--", "b", "--json") == (("a",), (), ["b", "--json"])
    assert parse("a", "--") == (("a",), (), [])
    assert parse("a") == (("a",), (), None)
    assert parse("a", "--", "b", splits=False) == (("a", "b"), (), None)


def test_dashes_that_are_a_value_end_nothing() -> None:
    assert parse("-m", "--", "a") == (("a",), (), None)


def test_a_greedy_option_takes_all_words_up_to_the_next_option() -> None:
    assert parse("a", "--pattern", "x", "y", "-m", "z", "b") == (("a", "b"), ("x", "y"), None)
    assert parse("--pattern", "x", "--pattern", "y", "--", "b") == ((), ("x", "y"), ["b"])
    assert parse("--pattern=x", "b") == (("b",), ("x",), None)
    with pytest.raises(click.UsageError):
        parse("--pattern")


@pytest.mark.parametrize("arguments", [["--json", "version"], ["version", "--json"]])
def test_options_of_every_verb_stand_before_or_after_it(arguments: list[str]) -> None:
    assert json.loads(dsvc(*arguments).stdout)["version"]


def test_every_verb_can_be_imported_and_has_help() -> None:
    group = make_group()
    context = click.Context(group, obj=Session(Settings(environ={})))
    for name in VERBS:
        command = group.get_command(context, name)
        assert command is not None
        text = command.get_help(click.Context(command, info_name=name))
        assert VERBS[name].help in text
        assert all(
            option.help or option.hidden for option in command.params if isinstance(option, click.Option)
        ), name


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["statsu"], "did you mean status"),
        (["comit", "-m", "x"], "did you mean commit"),
        (["version", "--jsno"], "did you mean --json?"),
        (["zzzzzz"], "dsvc help"),
        (["commit", "-m"], "dsvc commit --help"),
        (["help", "chekout"], "did you mean checkout or check?"),
    ],
)
def test_a_usage_error_says_what_may_be_meant(arguments: list[str], hint: str) -> None:
    done = dsvc(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert hint in done.stderr.split("hint: ", 1)[1]
    assert done.stdout == ""
    found = json.loads(dsvc("--json", *arguments).stderr)
    assert (found["kind"], found["code"]) == ("error", "usage")
    assert hint in found["hint"]


def test_another_folder_is_entered_before_the_verb_runs(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    done = dsvc("-C", "a", "-C", "b", "init", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a" / "b" / ".dsvc").is_dir()
    missing = dsvc("-C", "missing", "status", cwd=tmp_path)
    assert missing.returncode == 2
    assert "missing" in missing.stderr


def test_outside_a_repository_it_exits_with_10(tmp_path: Path) -> None:
    done = dsvc("status", cwd=tmp_path)
    assert done.returncode == 10
    assert "dsvc init" in done.stderr


def test_help_is_the_overview_or_that_of_a_verb() -> None:
    assert dsvc("help").stdout == dsvc("--help").stdout == dsvc().stdout
    assert dsvc("help", "add").stdout == dsvc("add", "--help").stdout == dsvc("add", "-h").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["commit", "-F", "none.txt"],
        ["apply", "none.txt"],
        ["check", "--policy", "none.txt"],
        ["release", "create", "v1", "--notes", "none.txt"],
        ["release", "create", "v1", "--policy", "none.txt"],
        ["source", "add", "s", "--from", "none.txt"],
        ["policy", "test", "none.toml"],
    ],
    ids=lambda words: " ".join(words[:-1]),
)
def test_a_file_that_an_option_names_and_that_is_not_there(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DSVC_LANG", "en")
    assert run(["init", "--quiet"]) == 0
    assert run(arguments) == 14
    assert f"there is no file {arguments[-1]}" in capsys.readouterr().err
