"""Whatever happens becomes one message and an exit code."""

from __future__ import annotations

import json
from collections.abc import Callable

import click
import pytest

from dsvc.cli.environment.settings import Settings
from dsvc.cli.frame.boundary import Boundary, Terminated
from dsvc.cli.terminal.output import Output
from dsvc.model.errors import DsvcError, NotFoundError, StorageError, WouldOverwriteError


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


def run(command: Callable[[], int], *, as_json: bool = False, arguments: tuple[str, ...] = ()) -> int:
    settings = Settings(as_json=as_json, environ={})
    return Boundary(settings, Output(settings), list(arguments)).run(command)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFoundError("x"), 14),
        (WouldOverwriteError("x"), 15),
        (StorageError("x"), 33),
        (DsvcError("x"), 50),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (Terminated(15), 143),
        (Terminated(1), 129),
        (BrokenPipeError(), 141),
        (MemoryError(), 33),
        (RecursionError(), 41),
        (PermissionError(13, "Permission denied", "page.html"), 33),
        (click.UsageError("Wrong."), 2),
        (click.BadParameter("bad"), 2),
        (ZeroDivisionError("x"), 50),
        (ExceptionGroup("several", [ValueError("x")]), 50),
    ],
)
def test_each_kind_has_its_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsvc.cli.frame.boundary._silence_output", lambda: None)
    assert run(raising(error)) == code
    text = capsys.readouterr()
    assert text.out == ""
    if code == 141:
        assert text.err == ""
    else:
        assert "error: " in text.err
    assert ("Traceback" in text.err) == (code == 50)
    assert run(raising(error), as_json=True) == code
    text = capsys.readouterr()
    assert text.out == ""
    if code != 141:
        assert len(text.err.splitlines()) == 1
        found = json.loads(text.err)
        assert found["kind"] == "error"
        assert found["code"]
        assert isinstance(found["message"], str)
        assert "hint" in found


def test_message_and_hint_are_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(NotFoundError("no such thing", hint="look here"))) == 14
    assert capsys.readouterr().err == "error: no such thing\nhint: look here\n"


def test_json_has_code_and_details(capsys: pytest.CaptureFixture[str]) -> None:
    run(raising(NotFoundError("没有", details={"path": "数据"})), as_json=True)
    assert json.loads(capsys.readouterr().err) == {
        "kind": "error",
        "code": "not-found",
        "message": "没有",
        "hint": None,
        "details": {"path": "数据"},
    }


def test_control_characters_of_a_message_stay_away(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(raising(NotFoundError("no \x1b[2Jfile", hint="\x07")))
    assert capsys.readouterr().err == "error: no \\x1b[2Jfile\nhint: \\x07\n"


def test_json_is_asked_for_before_the_dashes_only(capsys: pytest.CaptureFixture[str]) -> None:
    run(raising(click.UsageError("x")), arguments=("add", "--json", "--nonsense"))
    assert json.loads(capsys.readouterr().err)["code"] == "usage"
    run(raising(click.UsageError("x")), arguments=("add", "--", "--json"))
    assert capsys.readouterr().err.startswith("error: ")


def test_the_exit_code_of_the_command_comes_through() -> None:
    assert run(lambda: 0) == 0
    assert run(lambda: 1) == 1
