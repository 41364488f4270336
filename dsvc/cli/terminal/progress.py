"""Progress on standard error; never from a thread of its own, since dsvc forks workers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from dsvc.cli.environment.settings import Settings, is_terminal
from dsvc.cli.language.i18n import N_, _

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

Report = Callable[[str, int, int | None], None]

DELAY_SECONDS: Final = 0.5
BAR_SECONDS: Final = 0.1
LINE_SECONDS: Final = 1.0

# The labels that the library reports, here for translation.
PHASES: Final = (
    N_("scanning"),
    N_("adding"),
    N_("storing"),
    N_("hashing"),
    N_("comparing"),
    N_("writing"),
    N_("reading"),
    N_("checking"),
    N_("marking"),
    N_("merging"),
    N_("repairing"),
)


class Progress:
    """Shows what a verb reports.

    On a terminal: bars, after half a second, so that short work stays quiet. Elsewhere, where ``--progress``
    asks for it: a line a second.
    """

    def __init__(self, settings: Settings, now: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._now = now
        self._started = now()
        self._shown = self._started
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._last: tuple[str, int, int | None] | None = None
        self._terminal = is_terminal(sys.stderr) and not settings.dumb_terminal

    def report(self, phase: str, done: int, total: int | None) -> None:
        """Take a report of the library: a label, how much is done, of how much (None: unknown)."""
        now = self._now()
        self._last = (phase, done, total)
        if not self._terminal:
            if now - self._shown >= LINE_SECONDS:
                self._shown = now
                self._line()
            return
        if now - self._started < DELAY_SECONDS:
            return
        finished = total is not None and done >= total
        if now - self._shown >= BAR_SECONDS or finished or phase not in self._tasks:
            self._shown = now
            self._bar(phase, done, total)

    def _line(self) -> None:
        if self._last is None:
            return
        phase, done, total = self._last
        share = f" / {total:,} ({100 * done // total}%)" if total else ""
        sys.stderr.write(f"{_(phase)}: {done:,}{share}\n")
        sys.stderr.flush()
        self._last = None

    def _bar(self, phase: str, done: int, total: int | None) -> None:
        bars = self._bars or self._start()
        task = self._tasks.get(phase)
        if task is None:
            for other in self._tasks.values():
                bars.stop_task(other)
            task = self._tasks[phase] = bars.add_task(_(phase), total=total)
        bars.update(task, completed=done, total=total)
        bars.refresh()

    def _start(self) -> Bars:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self._bars = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True, no_color=not self._settings.wants_color(sys.stderr)),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._bars.start()
        return self._bars

    def close(self) -> None:
        """Take the bars away; write the last line where lines are written."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        elif not self._terminal:
            self._line()
