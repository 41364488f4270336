"""`dsvc config`."""

from __future__ import annotations

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import verb
from dsvc.cli.language.i18n import _
from dsvc.cli.writing.names import show_line
from dsvc.model.errors import UsageError


def _list(session: Session, show_origin: bool) -> None:
    items = list(session.repository().config.items())
    session.output.json(
        {"settings": [{"key": key, "value": value, "origin": origin} for key, value, origin in items]}
    )
    for key, value, origin in items:
        start = f"{origin}\t" if show_origin else ""
        session.output.answer(f"{start}{key}={show_line(value)}")


@verb("config")
@click.argument("key", required=False, metavar="[KEY]")
@click.argument("value", required=False, metavar="[VALUE]")
@click.option("--unset", is_flag=True, help=_("remove the setting"))
@click.option("-l", "--list", "listing", is_flag=True, help=_("show all settings; so does no KEY"))
@click.option("--show-origin", is_flag=True, help=_("also show where each setting stands"))
def command(
    session: Session, key: str | None, value: str | None, unset: bool, listing: bool, show_origin: bool
) -> int:
    """Read and change settings."""
    if key is None or listing:
        if key is not None or unset:
            raise UsageError(_("a list shows every setting; name none"))
        _list(session, show_origin)
        return 0
    if show_origin:
        raise UsageError(_("--show-origin goes with the list of all settings"))
    config = session.repository().config
    if unset:
        if value is not None:
            raise UsageError(_("--unset takes a key and no value"))
        config.unset(key)
        session.output.json({"key": key, "value": None})
    elif value is not None:
        config.set(key, value)
        session.output.json({"key": key, "value": value})
    else:
        found = config.get(key)
        session.output.json({"key": key, "value": found})
        if found is None:
            return 1
        session.output.answer(show_line(found))
    return 0
