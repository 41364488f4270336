"""`dsvc init`."""

from __future__ import annotations

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.writing.names import show_name


@verb("init", greedy=["--policy"])
@click.argument("directory", required=False, default=".", metavar="[DIR]", type=PathWord())
@click.option("--nested", is_flag=True, help=_("also inside another repository"))
@click.option(
    "--policy",
    multiple=True,
    metavar="PACK…",
    help=_("policy packs to name in dsvc.toml; takes all that follow"),
)
def command(session: Session, directory: str, nested: bool, policy: tuple[str, ...]) -> None:
    """Make a repository."""
    from dsvc.porcelain.repository import Repository

    repo = Repository.init(directory, nested=nested, policy=policy)
    output = session.output
    output.json({"path": repo.path, "format": repo.format})
    output.line(
        _("made an empty repository in {path}").format(
            path=show_name(repo.path.encode("utf-8", "surrogateescape"))
        )
    )
    session.advise("next", _("store what is there with: dsvc add ."))
