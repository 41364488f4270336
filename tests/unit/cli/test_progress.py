"""Progress: late, rare, and never from a thread."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from dsvc.cli.environment.settings import Settings
from dsvc.cli.frame.session import Session
from dsvc.cli.terminal.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_it_is_a_line_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = Progress(Settings(progress=True, environ={}), now=clock)
    for done in range(5):
        progress.report("adding", done * 1000, 4000)
        clock.now += 0.6
    progress.close()
    assert capsys.readouterr().err.splitlines() == [
        "adding: 2,000 / 4,000 (50%)",
        "adding: 4,000 / 4,000 (100%)",
    ]


def test_without_a_total_it_counts(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(Settings(progress=True, environ={}))
    progress.report("scanning", 17, None)
    progress.close()
    assert capsys.readouterr().err == "scanning: 17\n"


def test_on_a_terminal_short_work_is_quiet_and_long_work_has_bars_without_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    clock = Clock()
    progress = Progress(Settings(environ={"TERM": "xterm-256color"}), now=clock)
    progress.report("adding", 1, 10)
    assert terminal.getvalue() == ""
    clock.now += 1
    threads = threading.active_count()
    progress.report("adding", 5, 10)
    progress.report("storing [bold]", 1, None)
    assert threading.active_count() == threads
    progress.close()
    assert "adding" in terminal.getvalue()
    assert "storing [bold]" in terminal.getvalue()


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        (Settings(environ={"TERM": "xterm"}), True),
        (Settings(environ={"TERM": "dumb"}), False),
        (Settings(environ={"TERM": "xterm"}, quiet=True), False),
        (Settings(environ={"TERM": "xterm"}, progress=False), False),
        (Settings(environ={}, progress=True), True),
    ],
)
def test_it_is_shown_where_somebody_sees_it(
    settings: Settings, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Session(settings).progress() as report:
        assert (report is not None) == shown


def test_it_is_not_shown_in_a_pipe() -> None:
    with Session(Settings(environ={"TERM": "xterm"})).progress() as report:
        assert report is None
