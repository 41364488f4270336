"""Write docs/cli.md from the help of each verb: ``python scripts/cli_reference.py [--check]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import click

from dsvc.cli.environment.settings import Settings
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PROGRAM
from dsvc.cli.frame.verbs import VERBS
from dsvc.cli.language.i18n import use_language
from dsvc.cli.main import make_group

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"

HEAD = """\
# The command line

Written by `scripts/cli_reference.py` from what `dsvc help VERB` says; a test fails when the two differ. [Exit
codes](exit-codes.md) are fixed. Every verb has `--json`; numbers that JSON lacks are the texts `"NaN"`,
`"Infinity"` and `"-Infinity"` wherever they stand, in keys of rows as in figures.

Revisions: `HEAD`, a branch, a tag, a full or short commit id, `REV~N`, `REV^N`, `@{N}`; for `diff` also
`WORKTREE`, `STAGED`, `A..B` and `A...B`. A target is `[REV:]PATH`; in the path `%23` stands for `#` and `%3A`
for `:`. Where a word could be a revision or a path, `--` stands before the paths.

The environment: `DSVC_LANG` (language: `en`, `zh_CN`), `DSVC_PAGER`, `DSVC_EDITOR`, `DSVC_AUTHOR_NAME`,
`DSVC_AUTHOR_EMAIL`, `NO_COLOR`, `FORCE_COLOR`; and, where those are not set, `PAGER`, `VISUAL`, `EDITOR`,
`LC_ALL`, `LC_MESSAGES`, `LANG` and git's settings for the author. `core.pager` of a repository's config
counts only where it is the bare name of a known pager (`less`, `more`, `most`, `bat`, …): no command of a
repository is run. A reader that closes the pipe early ends dsvc with 141, SIGTERM ends it with 143.

"""


def options(context: click.Context) -> str:
    """Return the options of a command as a table; how wide a terminal is doesn't matter here."""
    declared = [param for param in context.command.params if isinstance(param, click.Option)]
    records = [param.get_help_record(context) for param in declared]
    cells = [[cell.replace("|", "\\|") for cell in record] for record in records if record]
    rows = [f"| `{names}` | {text} |" for names, text in cells]
    return "\n".join(["| Option | |", "| --- | --- |", *rows]) + "\n" if rows else ""


def section(name: str, command: click.Command, root: click.Context, title: str, mark: str = "##") -> str:
    """Return the part of the page about one verb, and the verbs below it."""
    context = click.Context(command, info_name=name, parent=root, **command.context_settings)
    usage = " ".join([PROGRAM, title, *command.collect_usage_pieces(context)])
    details = (command.help or "").replace("\b\n", "")
    text = f"\n{mark} {title}\n\n```\n{usage}\n```\n\n{details}\n\n{options(context)}".rstrip() + "\n"
    inner = command.commands if isinstance(command, click.Group) else {}
    return text + "".join(section(each, inner[each], context, f"{title} {each}", "###") for each in inner)


def page() -> str:
    """Return the text of docs/cli.md."""
    use_language("en")
    group = make_group()
    root = click.Context(
        group, info_name=PROGRAM, obj=Session(Settings(environ={})), **group.context_settings
    )
    parts = [HEAD, "## Options of every verb, before or after it\n\n", options(root)]
    for name in VERBS:
        command = group.get_command(root, name)
        assert command is not None
        parts.append(section(name, command, root, name))
    return "".join(parts)


def main() -> int:
    """Write the page, or with ``--check`` compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if the page is not up to date")
    check: bool = parser.parse_args().check
    wanted = page()
    if not check:
        PAGE.write_text(wanted, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted:
        print("docs/cli.md is not up to date: run python scripts/cli_reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
