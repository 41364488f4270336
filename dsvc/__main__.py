"""The program ``dsvc``; ``python -m dsvc`` is the same."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return the exit code."""
    arguments = sys.argv[1:]
    if len(arguments) == 1 and arguments[0] in {"version", "--version"}:
        from dsvc.cli.fast_path import print_version

        return print_version()
    from dsvc.cli.main import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
