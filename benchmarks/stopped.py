"""Run dsvc and stop it at the n-th write: `python stopped.py list OUT | kill N | pause N FILE -- add -A`.

`list` lets it run and writes the operations of the write seam, `kill` sends SIGKILL to it and to all of its
workers, `pause` makes FILE and waits for ever.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path


def _list(target: str) -> Callable[[int, str, str], None]:
    seen: list[tuple[str, str]] = []
    own = os.getpid()

    def note(_number: int, name: str, path: str) -> None:
        if os.getpid() == own:
            seen.append((name, path))
            # Rewritten as it grows: the program may leave without a word.
            if len(seen) == 1:
                import atexit

                atexit.register(lambda: Path(target).write_text(json.dumps(seen)))

    return note


def _at(wanted: int, act: Callable[[], None]) -> Callable[[int, str, str], None]:
    own = os.getpid()

    def look(number: int, _name: str, _path: str) -> None:
        if number == wanted and os.getpid() == own:
            act()

    return look


def _wait(target: str) -> None:
    Path(target).touch()
    signal.pause()


def main() -> int:
    """Arm what was asked for and be the program."""
    from dsvc.fs import failpoints

    split = sys.argv.index("--")
    how, words = sys.argv[1:split], sys.argv[split + 1 :]
    if how[0] == "list":
        observer = _list(how[1])
    elif how[0] == "kill":
        observer = _at(int(how[1]), lambda: os.killpg(0, signal.SIGKILL))
    else:
        observer = _at(int(how[1]), lambda: _wait(how[2]))
    failpoints.plan = failpoints.Plan(observer=observer)
    sys.argv = ["dsvc", *words]
    from dsvc.__main__ import main as program

    return program()


if __name__ == "__main__":
    sys.exit(main())
