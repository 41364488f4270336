"""The program ``dsvc``; ``python -m dsvc`` is the same."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return the exit code."""
    arguments = sys.argv[1:]
    if arguments in (["version"], ["--version"]):
        # The fast path: nothing is imported for it.
        from dsvc import __version__

        try:
            print(f"dsvc {__version__}", flush=True)
        except BrokenPipeError:
            import os

            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 141
        return 0
    from dsvc.cli.main import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
