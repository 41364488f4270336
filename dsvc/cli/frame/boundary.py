"""The one error boundary: whatever happens becomes an exit code and one message."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from dsvc.cli.environment.settings import Settings
from dsvc.cli.language.i18n import N_, _, is_translated
from dsvc.cli.terminal.output import Output
from dsvc.cli.writing.names import show_text

if TYPE_CHECKING:
    from click import ClickException

    from dsvc.model.errors import DsvcError

EXIT_USAGE: Final = 2
EXIT_STORAGE: Final = 33
EXIT_MALFORMED: Final = 41
EXIT_BUG: Final = 50
EXIT_INTERRUPTED: Final = 130
EXIT_PIPE: Final = 141
EXIT_TERMINATED: Final = 143

# What an error is about, for languages into which the sentence itself is not translated.
TITLES: Final = {
    1: N_("The answer is no"),
    2: N_("Wrong usage"),
    10: N_("No repository"),
    11: N_("Locked by another process"),
    12: N_("Unsupported format"),
    13: N_("Changed meanwhile by another process"),
    14: N_("Not found"),
    15: N_("It would overwrite uncommitted work"),
    16: N_("Merge conflict"),
    20: N_("Denied by policy"),
    21: N_("Evidence for the policy is missing"),
    22: N_("Lineage is broken"),
    23: N_("A blocking defect is open"),
    30: N_("Stored bytes are wrong"),
    31: N_("Stored bytes are missing"),
    32: N_("Erased on purpose"),
    33: N_("The system refused to read or write"),
    40: N_("The remote failed or refused"),
    41: N_("Hostile or malformed input refused"),
    50: N_("A bug in dsvc"),
}


class Terminated(BaseException):
    """The process was asked to end (SIGTERM, SIGHUP)."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _end(number: int, _frame: object) -> None:
    # Once is enough: a second signal, of whatever kind, must not cut the clean-up short. It isn't SIG_IGN
    # that sees to it, since programs started meanwhile would inherit that.
    for each in _ENDING:
        signal.signal(each, _go_on)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated(number)


def _go_on(_number: int, _frame: object) -> None:
    """The process is ending already."""


_ENDING: Final = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def install_signals() -> None:
    """Turn the first SIGINT, SIGTERM or SIGHUP into an exception, so that locks are freed."""
    for number in _ENDING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)


class Boundary:
    """Runs a command and turns whatever comes out of it into an exit code."""

    def __init__(self, settings: Settings, output: Output, arguments: list[str]) -> None:
        self._settings = settings
        self._output = output
        self._arguments = arguments

    def run(self, command: Callable[[], int]) -> int:
        """Run `command`; never raises."""
        try:
            code = self._guarded(command)
        except BrokenPipeError:
            code = EXIT_PIPE
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            code = EXIT_PIPE
        except (AttributeError, ValueError):
            pass
        except OSError as error:
            code = self._os_error(error)
        if code == EXIT_PIPE:
            _silence_output()
        return code

    def _guarded(self, command: Callable[[], int]) -> int:
        from dsvc.model.errors import DsvcError

        try:
            return command()
        except DsvcError as error:
            return self._dsvc_error(error)
        except KeyboardInterrupt:
            return self._report(
                EXIT_INTERRUPTED,
                "interrupted",
                _("interrupted"),
                _("what was stored so far is kept; the same command carries on from there"),
            )
        except Terminated as signaled:
            code = 128 + signaled.number
            return self._report(code, "terminated", _("asked to end by a signal"), None)
        except BrokenPipeError:
            raise
        except MemoryError:
            return self._report(EXIT_STORAGE, "out-of-memory", _("there is not enough memory"), None)
        except RecursionError:
            return self._report(
                EXIT_MALFORMED, "too-deep", _("the input is nested too deeply; it was refused"), None
            )
        except OSError as error:
            return self._os_error(error)
        except Exception as error:
            return self._click_or_bug(error)

    def _click_or_bug(self, error: Exception) -> int:
        from click import Abort, ClickException

        if isinstance(error, Abort):
            return self._report(EXIT_INTERRUPTED, "interrupted", _("interrupted"), None)
        if isinstance(error, ClickException):
            return self._usage(error)
        return self._bug(error)

    def _usage(self, error: ClickException) -> int:
        from dsvc.cli.frame.usage import explain

        message, hint = explain(error)
        return self._report(EXIT_USAGE, "usage", message, hint)

    def _dsvc_error(self, error: DsvcError) -> int:
        if error.exit_code == EXIT_BUG:
            return self._bug(error)
        details = error.details or None
        if self._wants_json():
            return self._report(error.exit_code, error.code, error.message, error.hint, details)
        message = _(error.message)
        if not (_made_here(error) or is_translated(error.message)) and error.exit_code in TITLES:
            title = _(TITLES[error.exit_code])
            message = _("{title}: {message}").format(title=title, message=message)
        return self._report(error.exit_code, error.code, message, _(error.hint) if error.hint else None)

    def _os_error(self, error: OSError) -> int:
        name = error.filename if error.filename is not None else ""
        shown = os.fsencode(name).decode("utf-8", "replace") if isinstance(name, str | bytes) else str(name)
        message = f"{shown}: {error.strerror}" if shown and error.strerror else str(error)
        return self._report(EXIT_STORAGE, "storage", message, None)

    def _bug(self, error: BaseException) -> int:
        import traceback

        text = "".join(traceback.format_exception(error))
        what = f"{type(error).__name__}: {error}"
        message = _("this is a bug in dsvc: {what}").format(what=what)
        hint = _("please report it, with the text above, what you ran, and the output of: dsvc version")
        if self._wants_json():
            return self._report(EXIT_BUG, "bug", f"bug: {what}", hint, {"traceback": text})
        with suppress(AttributeError, ValueError, OSError):
            sys.stderr.write(show_text(text))
        return self._report(EXIT_BUG, "bug", message, hint)

    def _report(
        self, code: int, name: str, message: str, hint: str | None, details: dict[str, object] | None = None
    ) -> int:
        """Write the message where errors go, and return the exit code."""
        with suppress(AttributeError, ValueError, OSError):
            if self._wants_json():
                fields: dict[str, object] = {"code": name, "message": message, "hint": hint}
                self._output.error_object({**fields, **({"details": details} if details else {})})
            else:
                self._output.error(show_text(message), show_text(hint) if hint else None)
        return code

    def _wants_json(self) -> bool:
        """Whether programs listen, also where the arguments were not understood."""
        words = self._arguments
        before = words[: words.index("--")] if "--" in words else words
        return self._settings.as_json or "--json" in before


def _made_here(error: BaseException) -> bool:
    """Whether the command line itself raised `error`, so that its message is translated already."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("dsvc.cli.")


def _silence_output() -> None:
    """Point standard output to nowhere, so that Python's own flush at the end stays quiet."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
