"""`dsvc completion`."""

from __future__ import annotations

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import COMPLETE_VARIABLE, PROGRAM, verb

INSTALL = {
    "bash": "dsvc completion bash > ~/.local/share/bash-completion/completions/dsvc",
    "zsh": 'dsvc completion zsh > "${fpath[1]}/_dsvc"',
    "fish": "dsvc completion fish > ~/.config/fish/completions/dsvc.fish",
}


@verb("completion", "\b\n" + "\n".join(f"    {line}" for line in INSTALL.values()))
@click.argument("shell", type=click.Choice(sorted(INSTALL)), metavar="SHELL")
def command(session: Session, shell: str) -> None:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    assert kind is not None
    # The template alone: source() would ask the shell for its version, which need not be installed here.
    made = kind(root, {}, PROGRAM, COMPLETE_VARIABLE)
    script = made.source_template % made.source_vars()
    session.output.answer(script)
    session.output.json({"shell": shell, "script": script})
