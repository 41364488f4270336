"""When this machine was started: what is older was left by processes that are gone."""

from __future__ import annotations


def boot_seconds() -> float:
    """Moment of the last start of this machine, seconds since 1970; 0 where that can't be told."""
    try:
        with open("/proc/stat", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("btime "):
                    return float(line.split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return 0.0
