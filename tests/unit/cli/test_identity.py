"""The author: the environment, git's settings, the login name."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.cli.environment.identity import find_identity, parse_value, read_git_config
from dsvc.cli.environment.settings import Settings


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (" Ada Lovelace ", "Ada Lovelace"),
        ('"Ada  L" # comment', "Ada  L"),
        ("Ada ; comment", "Ada"),
        ('a "# no comment" b', "a # no comment b"),
        (r"tab\tand \"quote\" \\", 'tab\tand "quote" \\'),
        ('" kept "', " kept "),
        ("", ""),
    ],
)
def test_values_are_read_as_git_reads_them(raw: str, value: str) -> None:
    assert parse_value(raw) == value


def settings(tmp_path: Path, **more: str) -> Settings:
    return Settings(environ={"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", **more})


def test_the_users_git_config_is_read_with_includes(tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").write_text("[User]\n\tname = Ada\n[include]\n\tpath = ~/more\n")
    (tmp_path / "more").write_text('[user] email = "ada@example.org"\n[user "x"]\n\temail = wrong\n')
    assert find_identity(settings(tmp_path), str(tmp_path)) == ("Ada", "ada@example.org", True)


def test_the_repository_around_wins_over_the_user_and_the_environment_over_both(tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").write_text("[user]\nname=Ada\nemail=ada@example.org\n")
    (tmp_path / "work" / ".git").mkdir(parents=True)
    (tmp_path / "work" / ".git" / "config").write_text("[user]\nemail=work@example.org\n")
    start = str(tmp_path / "work")
    assert find_identity(settings(tmp_path), start) == ("Ada", "work@example.org", True)
    environment = settings(tmp_path, DSVC_AUTHOR_NAME="Eve", DSVC_AUTHOR_EMAIL="eve@example.org")
    assert find_identity(environment, start) == ("Eve", "eve@example.org", True)


def test_without_any_setting_it_is_the_login_name_and_the_host(tmp_path: Path) -> None:
    name, email, known = find_identity(settings(tmp_path), str(tmp_path))
    assert name
    assert email.startswith(f"{name}@")
    assert not known


def test_what_a_commit_header_cannot_hold_is_left_out(tmp_path: Path) -> None:
    environment = settings(tmp_path, DSVC_AUTHOR_NAME="A<\n>da", DSVC_AUTHOR_EMAIL="<a@b>")
    assert find_identity(environment, str(tmp_path)) == ("Ada", "a@b", True)


@pytest.mark.parametrize(("value", "read"), [("1", False), ("true", False), ("0", True), ("false", True)])
def test_the_file_of_the_system_is_left_out_where_git_leaves_it_out(
    value: str, read: bool, tmp_path: Path
) -> None:
    (tmp_path / "system").write_text("[user]\nname = System\nemail = s@example.org\n")
    found = Settings(environ={"GIT_CONFIG_SYSTEM": str(tmp_path / "system"), "GIT_CONFIG_NOSYSTEM": value})
    assert (find_identity(found, str(tmp_path))[0] == "System") == read


def test_an_include_of_itself_ends(tmp_path: Path) -> None:
    path = tmp_path / "loop"
    path.write_text(f"[include]\npath = {path}\n[user]\nname = Ada\n")
    found = dict(read_git_config(str(path), None))
    assert found["user.name"] == "Ada"


def test_files_that_are_no_config_give_nothing(tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").write_bytes(b"\xff\xfe\0garbage\n[user\nname = x\n= y\n")
    assert not find_identity(settings(tmp_path), str(tmp_path))[2]
