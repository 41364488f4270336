"""The group of all verbs, and the way from arguments to an exit code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module

import click

from dsvc.cli.environment.settings import Settings
from dsvc.cli.frame.boundary import Boundary, install_signals
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.usage import no_such_verb
from dsvc.cli.frame.verb import COMPLETE_VARIABLE, CONTEXT, PROGRAM, every_verb_options
from dsvc.cli.frame.verbs import VERBS
from dsvc.cli.language.i18n import _, configured_language, environment_language, use_language
from dsvc.cli.terminal.output import force_utf8, open_streams
from dsvc.model.errors import UsageError


class Verbs(click.Group):
    """The group: it imports a verb's module when the verb runs, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all verbs, in the order of the overview."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb."""
        entry = VERBS.get(cmd_name)
        if entry is None:
            return None
        command = import_module(f"dsvc.cli.commands.{entry.module}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; raises `click.UsageError` that says which one was meant."""
        if args and args[0] not in VERBS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise no_such_verb(args[0], VERBS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs by section, from the table alone."""
        for section in dict.fromkeys(entry.section for entry in VERBS.values()):
            with formatter.section(_(section)):
                formatter.write_dl(
                    [(name, _(entry.help)) for name, entry in VERBS.items() if entry.section == section],
                    col_max=14,
                )


def _enter(context: click.Context, parameter: click.Parameter, value: Sequence[str]) -> Sequence[str]:
    for folder in () if context.resilient_parsing else value:
        try:
            os.chdir(folder)
        except OSError as error:
            raise UsageError(
                _("cannot go to {folder}: {why}").format(folder=folder, why=error.strerror)
            ) from error
    return value


def _print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from dsvc import __version__

        click.echo(f"dsvc {__version__}")
        context.exit()


def make_group() -> Verbs:
    """Make the group, with its texts in the current language."""
    return Verbs(
        PROGRAM,
        help=_("Version control for data sets."),
        epilog=_("More about a verb: dsvc help VERB"),
        subcommand_metavar=_("VERB [ARGUMENT]…"),
        options_metavar=_("[OPTION]…"),
        no_args_is_help=False,
        invoke_without_command=True,
        callback=_overview,
        context_settings={**CONTEXT},
        params=[
            click.Option(
                ["directory", "-C"],
                multiple=True,
                metavar="DIR",
                is_eager=True,
                expose_value=True,
                callback=_enter,
                type=click.Path(),
                help=_("run in DIR; stands before the verb"),
            ),
            *every_verb_options(hidden=False),
            click.Option(
                ["--version"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_print_version,
                help=_("show the version"),
            ),
        ],
    )


@click.pass_context
def _overview(context: click.Context, directory: Sequence[str]) -> None:
    """Show the overview where no verb is given."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _invoke(group: Verbs, arguments: list[str], session: Session) -> int:
    try:
        with group.make_context(PROGRAM, list(arguments), obj=session) as context:
            code = group.invoke(context)
            return code if isinstance(code, int) else 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    finally:
        session.close()


def _folder(arguments: Sequence[str]) -> str:
    """Return the folder that leading ``-C DIR`` lead to, before click has a look at them."""
    folder, words = ".", list(arguments)
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "-C" and words:
            folder = os.path.join(folder, words.pop(0))
        elif word.startswith("-C"):
            folder = os.path.join(folder, word[2:])
    return folder


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code; never raises."""
    open_streams()
    force_utf8()
    settings = Settings()
    use_language(
        settings.variable("DSVC_LANG")
        or configured_language(_folder(arguments))
        or environment_language(settings.environ)
    )
    session = Session(settings)
    instruction = settings.variable(COMPLETE_VARIABLE)
    if instruction is not None:
        from click.shell_completion import shell_complete

        return shell_complete(make_group(), {}, PROGRAM, COMPLETE_VARIABLE, instruction)
    install_signals()
    boundary = Boundary(settings, session.output, arguments)
    return boundary.run(lambda: _invoke(make_group(), arguments, session))
