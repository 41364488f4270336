"""``dsvc version``, without importing anything."""

from __future__ import annotations

import sys

from dsvc import __version__


def print_version() -> int:
    """Print the version; return the exit code."""
    try:
        print(f"dsvc {__version__}", flush=True)
    except OSError as error:
        import errno
        import os

        if error.errno != errno.EPIPE:
            print(f"error: {error}", file=sys.stderr)
        # Python's own flush at the end shall find nothing left to fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141 if error.errno == errno.EPIPE else 33
    return 0
