"""`dsvc hook`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import click

from dsvc.cli.environment.settings import is_terminal
from dsvc.cli.environment.user_hooks import user_hooks
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb_group import VerbGroup
from dsvc.cli.language.i18n import N_, _
from dsvc.cli.writing.names import show_line, show_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsvc.lineage.validation import Violation
    from dsvc.porcelain.hooks.hook_install import InstalledHook
    from dsvc.porcelain.hooks.hook_run import HookVerdict

command = VerbGroup(
    "hook",
    default="list",
    details=_(
        "pre-commit and pre-push go into the git repository around, pre-receive into .dsvc/git. dsvc commit "
        "asks the policy without any hook."
    ),
)

_HOOKS: Final = ("pre-commit", "pre-push", "pre-receive")
_OWN: Final = ("pre-commit", "post-commit", "post-feedback")
"""Programs of one's own in .dsvc/hooks."""
_STATES: Final = {
    "installed": N_("installed"),
    "foreign": N_("somebody else's"),
    "none": N_("none"),
}
_JUDGED: Final = {
    "staged": N_("what dsvc is about to commit"),
    "git": N_("what git is about to commit"),
}


def _fields(hook: InstalledHook) -> dict[str, object]:
    return {
        "hook": hook.name,
        "place": hook.place.value,
        "path": hook.path,
        "state": hook.state,
        "kept": hook.kept,
    }


def _program(session: Session) -> list[str]:
    """How a hook calls dsvc: by its name where the shell finds it, else by the Python that has it."""
    from dsvc.porcelain.state.program import find_program

    found = find_program("dsvc", session.settings.environ) is not None
    return ["dsvc"] if found else [sys.executable, "-m", "dsvc"]


@command.verb("list", _("Show which hooks there are"))
def list_(session: Session) -> None:
    """Show what stands where git looks for hooks."""
    output = session.output
    for hook in session.repository().hooks(session.settings.environ):
        output.json(_fields(hook))
        if not session.as_json:
            state = output.style(_(_STATES[hook.state]), "added" if hook.state == "installed" else "warning")
            output.answer(f"{hook.name:<12} {state}: {show_name(os.fsencode(hook.path))}")


@command.verb("install", _("Put a hook where git looks for it"))
@click.argument("name", type=click.Choice(_HOOKS), metavar="NAME")
@click.option("--git", "place", flag_value="git", help=_("into the git repository around the working tree"))
@click.option("--dsvc", "place", flag_value="dsvc", help=_("into dsvc's own history, .dsvc/git"))
@click.option("--force", is_flag=True, help=_("put somebody else's hook aside"))
def install(session: Session, name: str, place: str | None, force: bool) -> None:
    """Put a hook where git looks for it."""
    from dsvc.porcelain.hooks.hook_install import HookPlace

    hook = session.repository().install_hook(
        name,
        None if place is None else HookPlace(place),
        environ=session.settings.environ,
        program=_program(session),
        force=force,
    )
    output = session.output
    output.json(_fields(hook))
    output.line(_("installed {path}").format(path=show_name(os.fsencode(hook.path))))
    if hook.kept is not None:
        output.line(_("the hook that was there is now {path}").format(path=show_name(os.fsencode(hook.kept))))


@command.verb("allow", _("Let dsvc run a program of your own when it commits or imports feedback"))
@click.argument("name", type=click.Choice(_OWN), metavar="NAME")
def allow(session: Session, name: str) -> None:
    """Let dsvc run .dsvc/hooks/NAME, as it is now."""
    path = user_hooks(session.settings).allow(session.repository(), name)
    session.output.json({"hook": name, "path": path})
    if name == "post-feedback":
        said = _("dsvc feedback import runs {path} from now on")
    else:
        said = _("dsvc commit runs {path} from now on")
    session.output.line(said.format(path=show_name(os.fsencode(path))))


@command.verb("run", _("Do what a hook does"))
@click.argument("name", type=click.Choice(_HOOKS), metavar="NAME")
@click.argument("arguments", nargs=-1, metavar="[ARGUMENT]…")
def run(session: Session, name: str, arguments: tuple[str, ...]) -> int:
    """Judge what is about to be committed or pushed; git says what, on standard input."""
    from dsvc.porcelain.hooks.hook_run import MAX_INPUT_BYTES, hook_exit_code

    repo = session.repository()
    data = b""
    if name != "pre-commit" and sys.stdin is not None and not is_terminal(sys.stdin):
        data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
    verdicts = repo.run_hook(name, os.getcwd(), session.settings.environ, data)
    code = hook_exit_code(verdicts)
    if session.as_json:
        from dsvc.cli.policy.check_json import verdict_fields

        judged = [{"judged": each.judged, **verdict_fields(each.result)} for each in verdicts]
        session.output.json({"hook": name, "exit_code": code, "verdicts": judged})
    else:
        _show(session, name, verdicts, code)
    return code


def _each_once(verdicts: list[HookVerdict]) -> Iterator[HookVerdict]:
    """Leave out what was said already of the same thing: git and dsvc often commit the same files."""
    from msgspec.structs import replace

    said: set[Violation] = set()
    for number, verdict in enumerate(verdicts):
        left = tuple(each for each in verdict.result.violations if each not in said)
        said.update(left)
        again = {"policy_changes": (), "waivers": (), "first_roster": None} if number else {}
        yield verdict._replace(result=replace(verdict.result, violations=left, **again))


def _show(session: Session, name: str, verdicts: list[HookVerdict], code: int) -> None:
    """Say what was found; a hook that has nothing to say is quiet."""
    from dsvc.cli.policy.check_text import show_verdict

    output = session.output
    for verdict in _each_once(verdicts):
        if verdict.result.violations or verdict.result.policy_changes:
            what = _(_JUDGED[verdict.judged]) if verdict.judged in _JUDGED else show_line(verdict.judged)
            output.answer(output.style(_("dsvc judged {what}:").format(what=what), "heading"))
            show_verdict(output, verdict.result)
    if code:
        output.error(
            _("the hook {name} refuses this").format(name=name),
            _("dsvc policy explain RULE says what a rule asks for"),
        )
