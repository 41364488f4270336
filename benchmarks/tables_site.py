"""What the measurements of tables share: repositories of versions, processes, named medians."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import measure
from benchmarks.measure import Measurement
from benchmarks.peers.dsvc import Dsvc, program
from benchmarks.results import Reading
from benchmarks.rounds import SETTLE_S, say
from benchmarks.site import Site, copy_over

PROJECT = Path(__file__).resolve().parent.parent
CONFIG = '[tables."*"]\nkey = ["id"]\n'
ROW_INDEXES = Path(".dsvc", "cache", "rows")


class TableSite(Site):
    """A repository whose `data` folder holds one table with the key `id`."""

    def start(self) -> None:
        """Make the repository, with nothing in it but its configuration."""
        self.create()
        Dsvc().configure(self)
        (self.tree / "dsvc.toml").write_text(CONFIG)
        self.dsvc("init")

    def place(self, version: Path) -> None:
        """Put the files of a version into the tree."""
        copy_over(version, self.data)
        time.sleep(SETTLE_S)

    def commit(self, version: Path) -> None:
        """Commit the files of a version."""
        self.place(version)
        self.dsvc("add", "-A")
        self.dsvc("commit", "-m", version.name)

    def settle(self) -> None:
        """Let dsvc look at every file of the tree, so that it knows their time stamps."""
        time.sleep(SETTLE_S)
        self.dsvc("status")

    def dsvc(self, *words: str) -> Measurement:
        """Run and measure dsvc in the tree."""
        return self.run([*program(), *words])

    def run(self, argv: Sequence[str], **variables: str) -> Measurement:
        """Run and measure a program in the tree; what it prints is in `log` alone."""
        self.log.unlink(missing_ok=True)
        return measure.run(argv, cwd=self.tree, env={**self.environment(), **variables}, log=self.log)

    def printed(self) -> Any:
        """What the last program printed as JSON on its last line."""
        return json.loads(self.log.read_text().splitlines()[-1])

    def call(self, *words: str, module: str = "tables_calls") -> Any:
        """What `tables_calls.py` gives, or another module of calls."""
        argv = [sys.executable, "-m", f"benchmarks.{module}", *words]
        done = subprocess.run(argv, cwd=PROJECT, env=self.environment(), stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def forget_indexes(self) -> None:
        """Delete the row indexes: nothing is known of any table."""
        shutil.rmtree(self.tree / ROW_INDEXES, ignore_errors=True)


class Medians:
    """Times and peaks by name, until they are readings."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._seconds: dict[str, list[float]] = {}
        self._peaks: dict[str, list[int]] = {}
        self._units: dict[str, tuple[float, str]] = {}

    def took(self, name: str, measured: Measurement) -> None:
        """Keep what one process took."""
        say(f"{self._title}: {name} {measured.wall_s:.3f} s, {measured.peak_bytes >> 20} MiB")
        self._seconds.setdefault(name, []).append(measured.wall_s)
        self._peaks.setdefault(name, []).append(measured.peak_bytes)

    def calls(self, name: str, seconds: Sequence[float]) -> None:
        """Keep what calls took."""
        say(f"{self._title}: {name} " + ", ".join(f"{taken:.3f}" for taken in seconds))
        self._seconds.setdefault(name, []).extend(seconds)

    def value(self, name: str, value: float, unit: str) -> None:
        """Keep another number."""
        self._units[name] = (value, unit)

    def seconds(self, name: str) -> float | None:
        """Median of the times of that name so far."""
        return median(self._seconds[name]) if name in self._seconds else None

    def readings(self) -> list[Reading]:
        """One reading for each time and value, one more for each peak."""
        found = [
            Reading(name=f"{self._title}_{name}", value=round(median(all_), 4), unit="s")
            for name, all_ in self._seconds.items()
        ]
        found += [
            Reading(name=f"{self._title}_{name}_peak", value=int(median(all_)), unit="bytes")
            for name, all_ in self._peaks.items()
        ]
        return found + [
            Reading(name=f"{self._title}_{name}", value=value, unit=unit)
            for name, (value, unit) in self._units.items()
        ]

    def spaced(self) -> list[Reading]:
        """The same, with a blank behind the title."""
        return [
            Reading(name=each.name.replace("_", " ", 1), value=each.value, unit=each.unit)
            for each in self.readings()
        ]


def write_versions(folder: Path, *words: str) -> None:
    """Write versions with `tables_data.py`, in a process of its own."""
    argv = [sys.executable, "-m", "benchmarks.tables_data", str(folder), *words]
    subprocess.run(argv, check=True, cwd=PROJECT)
