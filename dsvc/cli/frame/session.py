"""What a running verb has at hand: settings, output, the repository, progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dsvc.cli.arguments.paths import from_here
from dsvc.cli.environment.settings import Settings
from dsvc.cli.language.i18n import _
from dsvc.cli.terminal.output import Output
from dsvc.cli.writing.names import show_line, show_name

if TYPE_CHECKING:
    from dsvc.cli.terminal.progress import Report
    from dsvc.porcelain.repository import Repository


def _ask_passphrase(path: str) -> str:
    import click

    question = _("passphrase of {path}").format(path=show_line(path))
    return str(click.prompt(question, hide_input=True, err=True, default="", show_default=False))


class Session:
    """One run of the command line.

    Parameters
    ----------
    settings : Settings
        Options and environment.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.output = Output(settings)
        self._repository: Repository | None = None
        self._identity_known = True

    @property
    def as_json(self) -> bool:
        """Whether programs listen."""
        return self.settings.as_json

    def repository(self) -> Repository:
        """Open the repository around the current folder, once."""
        if self._repository is None:
            from dsvc.cli.environment.identity import find_identity
            from dsvc.cli.environment.vouching import Vouching
            from dsvc.porcelain.repository import Repository
            from dsvc.porcelain.state.values import Author

            name, email, self._identity_known = find_identity(self.settings)
            vouching = Vouching(self.settings)
            self._repository = Repository.open(".", author=Author(name, email), vouches=vouching.vouches)
            self._repository.isolate |= vouching.isolates()
            self.output.configured_color = self._repository.config.get("color.ui")
            if self._repository.config.flag("commit.sign"):
                self._prepare_signing(self._repository)
        return self._repository

    def signing_repository(self) -> Repository:
        """Open it for a verb that signs: passphrases can be asked for, agents be found."""
        repo = self.repository()
        self._prepare_signing(repo)
        return repo

    def _prepare_signing(self, repo: Repository) -> None:
        import sys

        from dsvc.cli.environment.settings import is_terminal
        from dsvc.porcelain.state.signing import Signing

        repo.signing = Signing(
            environ=self.settings.environ,
            home=self.settings.variable("HOME"),
            ask=_ask_passphrase if is_terminal(sys.stdin) and not self.as_json else None,
        )

    def close(self) -> None:
        """Close what is open."""
        if self._repository is not None:
            self._repository.close()

    def name(self, path: bytes) -> str:
        """Return a path of the working tree for people: from the current folder, escaped."""
        repo = self.repository()
        return show_name(from_here(path, repo.root))

    def advise(self, advice: str, text: str) -> None:
        """Show a hint, unless ``advice.NAME`` of the config is ``false``."""
        if self._wants(advice):
            self.output.hint(text)

    def warn(self, advice: str, text: str) -> None:
        """Show a warning, unless ``advice.NAME`` of the config is ``false``."""
        if self._wants(advice):
            self.output.warning(text)

    def _wants(self, advice: str) -> bool:
        if self.as_json or self.settings.quiet:
            return False
        return self._repository is None or self._repository.config.get(f"advice.{advice}") != "false"

    def advise_identity(self) -> None:
        """Hint at the settings where the author had to be made of login name and host."""
        repo = self.repository()
        if self._identity_known or (repo.config.get("user.name") and repo.config.get("user.email")):
            return
        self.advise(
            "identity",
            _('say who you are: dsvc config user.name "NAME" and dsvc config user.email you@example.org'),
        )

    @contextmanager
    def progress(self) -> Iterator[Report | None]:
        """Show progress while the block runs; gives None where nobody would see it."""
        if not self.settings.wants_progress():
            yield None
            return
        from dsvc.cli.terminal.progress import Progress

        shown = Progress(self.settings)
        try:
            yield shown.report
        finally:
            shown.close()

    @contextmanager
    def paged(self) -> Iterator[None]:
        """Send standard output through a pager while the block runs, where it is a terminal."""
        if not self.settings.wants_pager():
            yield
            return
        from dsvc.cli.terminal.pager import pager_command, through_pager

        repo = self._repository
        command = pager_command(self.settings, repo.config.get("core.pager") if repo else None)
        # Colours are decided while standard output still is the terminal.
        _decided = self.output.color
        if command is None:
            yield
            return
        with through_pager(command, self.settings):
            yield
