"""Colours and pager: who decides."""

from __future__ import annotations

import io

import pytest

from dsvc.cli.environment.settings import Settings, is_terminal
from dsvc.cli.terminal.pager import pager_command


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("option", "environ", "configured", "terminal", "colored"),
    [
        (None, {"TERM": "xterm"}, None, True, True),
        (None, {"TERM": "xterm"}, "auto", True, True),
        (None, {"TERM": "xterm"}, None, False, False),
        (None, {"TERM": "dumb"}, None, True, False),
        (None, {}, None, True, False),
        (None, {"TERM": "xterm", "NO_COLOR": "1"}, "always", True, False),
        (None, {"TERM": "xterm", "NO_COLOR": ""}, None, True, True),
        (None, {"FORCE_COLOR": "1"}, None, False, True),
        (None, {"FORCE_COLOR": "0"}, None, False, False),
        (None, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, None, False, False),
        (None, {}, "always", False, True),
        (None, {"TERM": "xterm"}, "never", True, False),
        (True, {"NO_COLOR": "1"}, "never", False, True),
        (False, {"FORCE_COLOR": "1"}, "always", True, False),
    ],
)
def test_colours(
    option: bool | None, environ: dict[str, str], configured: str | None, terminal: bool, colored: bool
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    assert Settings(color=option, environ=environ).wants_color(stream, configured) == colored


@pytest.mark.parametrize(
    ("environ", "configured", "command"),
    [
        ({"DSVC_PAGER": "a", "PAGER": "c"}, "more", "a"),
        ({"PAGER": "c -x"}, "more", "more"),
        ({"PAGER": "c -x"}, None, "c -x"),
        ({"PAGER": "cat"}, None, None),
        ({"DSVC_PAGER": ""}, "more", None),
        ({"PAGER": "c"}, "cat", None),
        # A config comes with a repository: no command of it is run.
        ({"PAGER": "c"}, "less -o file", "c"),
        ({"PAGER": "c"}, "touch owned", "c"),
        ({"PAGER": "c"}, "./less", "c"),
        ({"PAGER": "c"}, "less;touch owned", "c"),
    ],
)
def test_the_pager(environ: dict[str, str], configured: str | None, command: str | None) -> None:
    assert pager_command(Settings(environ=environ), configured) == command


def test_a_closed_stream_is_no_terminal() -> None:
    stream = io.StringIO()
    stream.close()
    assert not is_terminal(stream)
    assert not is_terminal(None)
