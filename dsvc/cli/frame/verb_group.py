"""A verb that has verbs below it: ``dsvc source add``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from dsvc.cli.frame.usage import did_you_mean
from dsvc.cli.frame.verb import CONTEXT, Verb, every_verb_options, make_verb
from dsvc.cli.frame.verbs import VERBS
from dsvc.cli.language.i18n import _

F = TypeVar("F", bound=Callable[..., Any])


class VerbGroup(click.Group):
    """A verb whose first word says what to do; without one, it does what `default` does.

    Parameters
    ----------
    default : str
        Name of one of its verbs.
    """

    def __init__(self, name: str, *, default: str, details: str = "") -> None:
        summary = _(VERBS[name].help)
        super().__init__(
            name,
            help="\n\n".join(filter(None, [_("{text}.").format(text=summary), details])),
            short_help=summary,
            invoke_without_command=True,
            no_args_is_help=False,
            options_metavar=_("[OPTION]…"),
            subcommand_metavar=_("VERB [ARGUMENT]…"),
            callback=self._run_default,
            context_settings=CONTEXT,
            params=every_verb_options(hidden=True),
        )
        self._default = default

    def _run_default(self) -> object:
        context = click.get_current_context()
        if context.invoked_subcommand is not None:
            return None
        command = self.commands[self._default]
        with command.make_context(self._default, [], parent=context) as inner:
            return command.invoke(inner)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name its verbs, in the order in which they were made."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List its verbs."""
        with formatter.section(_("Verbs")):
            formatter.write_dl([(name, inner.short_help or "") for name, inner in self.commands.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; raises `click.UsageError` that says which one was meant."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            error = click.UsageError(
                _("there is no verb '{word}'").format(word=f"{self.name} {args[0]}"), ctx
            )
            known = _("known are: {names}").format(names=_(", ").join(self.commands))
            error.hint = did_you_mean(args[0], self.commands) or known  # type: ignore[attr-defined]
            raise error
        return super().resolve_command(ctx, args)

    def verb(
        self, name: str, summary: str, details: str = "", *, greedy: Sequence[str] = ()
    ) -> Callable[[F], Verb]:
        """Make a verb of a function, as `dsvc.cli.frame.verb.verb` does, and take it in."""

        def decorate(function: F) -> Verb:
            command = make_verb(name, summary, details, greedy=greedy)(function)
            self.add_command(command)
            return command

        return decorate
