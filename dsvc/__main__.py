"""The program ``dsvc``; ``python -m dsvc`` is the same."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run the command line and return the exit code."""
    arguments = sys.argv[1:]
    if len(arguments) == 1 and arguments[0] in {"version", "--version"}:
        from dsvc.cli.fast_path import print_version

        return print_version()
    from dsvc.cli.main import run

    # A command makes many objects and few cycles: looking for those after every 700 would cost 4%.
    gc.set_threshold(100_000, 50, 100)
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
