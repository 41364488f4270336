"""What click found wrong with the command line, as a message and a hint."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import click

from dsvc.cli.language.i18n import _


def did_you_mean(word: str, possible: Iterable[str]) -> str | None:
    """Return a hint with the words that look like `word`, or None."""
    close = get_close_matches(word, list(possible), n=3, cutoff=0.6)
    if not close:
        return None
    return _("did you mean {words}?").format(words=_(" or ").join(close))


def no_such_verb(word: str, possible: Iterable[str]) -> click.UsageError:
    """Make the error for a verb that there is not."""
    error = click.UsageError(_("there is no verb '{word}'").format(word=word))
    error.hint = did_you_mean(word, possible) or _("see all verbs with: dsvc help")  # type: ignore[attr-defined]
    return error


def _option_names(context: click.Context | None) -> list[str]:
    if context is None:
        return []
    return [
        name for param in context.command.get_params(context) for name in param.opts + param.secondary_opts
    ]


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def explain(error: click.ClickException) -> tuple[str, str | None]:
    """Return message and hint for an error of click."""
    context = getattr(error, "ctx", None)
    own: str | None = getattr(error, "hint", None)
    if isinstance(error, click.NoSuchOption):
        message = _("there is no option {name}").format(name=error.option_name)
        hint = did_you_mean(error.option_name, [n for n in _option_names(context) if n.startswith("--")])
    else:
        message = _lower_first(error.format_message().strip()).removesuffix(".").replace("\n", " ")
        hint = own
    if hint is None and context is not None:
        hint = _("see its options with: {command} --help").format(command=context.command_path)
    return message, hint
