"""Asking a program for its version."""

import subprocess
from collections.abc import Sequence


def version_of(argv: Sequence[str]) -> str | None:
    """The number in what `argv` prints, or None where it can't be run."""
    try:
        result = subprocess.run(argv, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    for word in result.stdout.split():
        if word[:1].isdigit():
            return word
    return result.stdout.strip() or None
