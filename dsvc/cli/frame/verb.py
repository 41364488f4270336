"""A verb of the command line: a click command with the options that every verb has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verbs import VERBS
from dsvc.cli.language.i18n import _

if TYPE_CHECKING:
    from dsvc.porcelain.repository import Repository

PROGRAM: Final = "dsvc"
COMPLETE_VARIABLE: Final = "_DSVC_COMPLETE"
AFTER_DASHES: Final = "dsvc.after_dashes"
CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

F = TypeVar("F", bound=Callable[..., Any])


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    session = context.find_object(Session)
    if session is not None and value is not None:
        setattr(session.settings, str(parameter.name), value)


def every_verb_options(*, hidden: bool) -> list[click.Option]:
    """Make the options that stand before or after any verb."""

    def flag(names: Sequence[str], text: str, **more: object) -> click.Option:
        return click.Option(
            names,
            is_flag=True,
            default=None,
            expose_value=False,
            callback=_remember,
            hidden=hidden,
            help=text,
            **more,  # type: ignore[arg-type]
        )

    return [
        flag(["as_json", "--json"], _("JSON on standard output, one object; listings: one a line")),
        flag(["quiet", "-q", "--quiet"], _("only errors, and what was asked for")),
        flag(["color", "--color/--no-color"], _("colours; without either: on a terminal")),
        flag(
            ["progress", "--progress/--no-progress"],
            _("progress on standard error; without either: on a terminal"),
        ),
        flag(["pager", "--no-pager"], _("never use a pager"), flag_value=False),
    ]


if TYPE_CHECKING:
    _WordType = click.ParamType[str]
else:
    _WordType = click.ParamType


class Verb(click.Command):
    """A command that knows the options of every verb, ``--`` and options with several values.

    Parameters
    ----------
    splits : bool
        Whether what follows ``--`` is kept apart (see `after_dashes`); else ``--`` only ends the options.
    greedy : sequence of str
        Options that take every word up to the next option.
    """

    def __init__(self, *args: Any, splits: bool = False, greedy: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._splits = splits
        self._greedy = frozenset(greedy)
        self.params += every_verb_options(hidden=True)

    def _takes_value(self, word: str) -> bool:
        """Whether `word` is an option whose value is the next word."""
        return any(
            isinstance(param, click.Option) and not param.is_flag and not param.count and word in param.opts
            for param in self.params
        )

    def _dashes(self, args: list[str]) -> int | None:
        """Find the ``--`` that ends the options."""
        for index, word in enumerate(args):
            if word == "--" and not (index and self._takes_value(args[index - 1])):
                return index
        return None

    def _spread(self, args: list[str]) -> list[str]:
        """Write each value of a greedy option with the option before it."""
        spread: list[str] = []
        option: str | None = None
        for word in args:
            if word in self._greedy:
                option = word
                continue
            if option is not None and word.startswith("-") and len(word) > 1:
                option = None
            spread += [word] if option is None else [option, word]
        return spread

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Point to the options that every verb has."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(_("--json, --quiet and what else every verb takes: dsvc help"))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what follows ``--`` apart, then let click parse."""
        try:
            return self._parse(ctx, args)
        except click.UsageError as error:
            # Some of click's errors forget which command it was.
            error.ctx = error.ctx or ctx
            raise

    def _parse(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = self._dashes(args)
        before, after = (args, None) if end is None else (args[:end], args[end + 1 :])
        for option in self._greedy.intersection(before[-1:]):
            raise click.UsageError(_("{option} needs a value").format(option=option), ctx)
        before = self._spread(before)
        if self._splits:
            ctx.meta[AFTER_DASHES] = after
            return super().parse_args(ctx, before)
        return super().parse_args(ctx, before if after is None else [*before, "--", *after])


def after_dashes() -> list[str] | None:
    """Return the words after ``--`` of the running verb, None where there was none."""
    found: list[str] | None = click.get_current_context().meta.get(AFTER_DASHES)
    return found


def verb(
    name: str, details: str = "", *, splits: bool = False, greedy: Sequence[str] = ()
) -> Callable[[F], Verb]:
    """Make a verb of a function; its first line of help stands in the table of verbs.

    Parameters
    ----------
    details : str
        More help, translated already.
    """
    return make_verb(name, _(VERBS[name].help), details, splits=splits, greedy=greedy)


def make_verb(
    name: str, summary: str, details: str = "", *, splits: bool = False, greedy: Sequence[str] = ()
) -> Callable[[F], Verb]:
    """Make a verb of a function; `summary` is its first line of help, without a full stop."""

    def decorate(function: F) -> Verb:
        command = click.command(
            name,
            cls=Verb,
            help="\n\n".join(filter(None, [_("{text}.").format(text=summary), details])),
            options_metavar=_("[OPTION]…"),
            short_help=summary,
            context_settings=CONTEXT,
            splits=splits,
            greedy=greedy,
        )(click.pass_obj(function))
        assert isinstance(command, Verb)
        return command

    return decorate


def with_options(options: Sequence[Callable[[F], F]]) -> Callable[[F], F]:
    """Add options, in their order."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def path_arguments(*, required: bool = False, name: str = "paths", label: str = "PATH…") -> Callable[[F], F]:
    """Declare arguments that are paths, with completion."""
    return click.argument(
        name, nargs=-1, required=required, metavar=label, type=PathWord(), shell_complete=None
    )


class PathWord(_WordType):
    """A path as it came: nothing is checked or decoded; the shell completes it."""

    name = "path"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Let the shell complete files."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


def _offered(ctx: click.Context, incomplete: str, ask: Callable[[Repository], Iterable[str]]) -> list[str]:
    """Ask the repository around the folder for names, and take those that begin so."""
    folder = ctx.find_root().params.get("directory") or ()
    try:
        from dsvc.porcelain.repository import Repository

        with Repository.open(os.path.join(".", *folder)) as repo:
            return [name for name in ask(repo) if name.startswith(incomplete)]
    except Exception:
        # Whatever is wrong, a completion says nothing.
        return []


def complete_chains(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Make the completion of ids of ``repairs`` or another kind, in the repository around the folder."""
    prefix = f"refs/dsvc/{kind}/"

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        return _offered(
            ctx,
            incomplete,
            lambda repo: sorted(name.removeprefix(prefix) for name in repo.history.refs.list(prefix)),
        )

    return complete


def complete_refs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete branches and tags of the repository around the current folder."""
    return _offered(
        ctx, incomplete, lambda repo: ["HEAD", *(ref.name for ref in [*repo.branches(), *repo.tags()])]
    )


def complete_words(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[click.shell_completion.CompletionItem]:
    """Complete branches and tags, and files where none of these begins so."""
    from click.shell_completion import CompletionItem

    names = complete_refs(ctx, param, incomplete)
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]
