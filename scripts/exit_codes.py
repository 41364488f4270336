"""Write docs/exit-codes.md from the error classes: ``python scripts/exit_codes.py [--check]``."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import dsvc
from dsvc.model.errors import DsvcError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "exit-codes.md"
ROOT_MODULE = "dsvc.model.errors"

# Codes that no error class stands for: a result, or something that happened to the process.
RESULTS = {
    0: "Done.",
    1: "The answer is no: `diff --exit-code` found differences, there was nothing to commit, and the like.",
    130: "Interrupted (Ctrl-C).",
}

HEAD = """\
# Exit codes

Written by `scripts/exit_codes.py` from the error classes in the code; a test fails when the two differ.
Programs read the exit code, or with `--json` the field `code` of the error object on standard error:
`{"kind": "error", "code": "…", "message": "…", "hint": "…"}`. Codes and names never change their meaning.

"""


def load_all_errors() -> None:
    """Import every module of dsvc, so that each error class exists."""
    for module in pkgutil.walk_packages(dsvc.__path__, "dsvc."):
        if not module.name.endswith(".__main__") and not module.name.startswith("dsvc.testing"):
            importlib.import_module(module.name)


def subclasses(kind: type[DsvcError]) -> Iterator[type[DsvcError]]:
    """Yield `kind` and all classes below it, each once."""
    seen: set[type[DsvcError]] = set()
    waiting = [kind]
    while waiting:
        cls = waiting.pop()
        if cls not in seen:
            seen.add(cls)
            waiting.extend(cls.__subclasses__())
            yield cls


def summary(cls: type[DsvcError]) -> str:
    """Return the first line of the docstring of `cls` itself."""
    return (cls.__doc__ or "").strip().split("\n", 1)[0]


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def page() -> str:
    """Return the text of docs/exit-codes.md."""
    load_all_errors()
    errors = sorted(subclasses(DsvcError), key=lambda cls: (cls.exit_code, cls.__module__, cls.__name__))
    kinds = [cls for cls in errors if cls.__module__ == ROOT_MODULE]
    known = {cls.code for cls in kinds}
    leaves = {cls.code: cls for cls in reversed(errors) if cls.code not in known}
    codes = [(code, "", text) for code, text in RESULTS.items()]
    codes += [
        (cls.exit_code, f"`{cls.code}`", "A bug; with the traceback." if cls is DsvcError else summary(cls))
        for cls in kinds
    ]
    rows = [(str(code), name, text) for code, name, text in sorted(codes)]
    text = HEAD + table(("Exit code", "`code`", "Meaning"), rows)
    if leaves:
        text += "\n## More exact names\n\nThe same exit codes, told apart by `code`.\n\n"
        text += table(
            ("Exit code", "`code`", "Meaning"),
            [(str(cls.exit_code), f"`{cls.code}`", summary(cls)) for cls in reversed(leaves.values())],
        )
    return text


def main() -> int:
    """Write the page, or with ``--check`` compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if the page is not up to date")
    arguments = parser.parse_args()
    wanted = page()
    if arguments.check:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted:
            return 0
        print("docs/exit-codes.md is not up to date: run python scripts/exit_codes.py", file=sys.stderr)
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
