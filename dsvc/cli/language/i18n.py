"""Two languages: every text that a person reads passes through `_`.

JSON keys, codes and values never do. The language is that of ``DSVC_LANG``, else of ``core.language`` in the
repository's config, else of ``LC_ALL``, ``LC_MESSAGES``, ``LANG``.
"""

from __future__ import annotations

import gettext
import os
import re
from collections.abc import Mapping
from typing import Final

DOMAIN: Final = "dsvc"
LOCALE_DIR: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "locale")

_MAX_CONFIG_BYTES: Final = 1 << 16

_current: gettext.NullTranslations = gettext.NullTranslations()
_language = "en"


def _(text: str) -> str:
    """Translate `text` into the current language."""
    return _current.gettext(text) if text else text


def ngettext(one: str, many: str, count: int, **more: object) -> str:
    """Translate a text that depends on a number; put the number in for ``{n}``, and what else it names."""
    return _current.ngettext(one, many, count).format(n=f"{count:,}", **more)


def N_(text: str) -> str:  # noqa: N802
    """Mark `text` for translation where it is shown, not here."""
    return text


def is_translated(text: str) -> bool:
    """Whether the current language is English or has `text`."""
    return _language == "en" or _current.gettext(text) != text


def language() -> str:
    """Return the current language, ``en`` or the name of a catalogue."""
    return _language


def environment_language(environ: Mapping[str, str]) -> str | None:
    """Return what the environment asks for; ``DSVC_LANG`` is not looked at."""
    return next((v for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (v := environ.get(name))), None)


def configured_language(folder: str) -> str | None:
    """Return ``core.language`` of the repository around `folder`, before anything else of it is read.

    The texts of help and of usage errors are needed before a repository is opened; so only this one
    setting is looked for, and a config that can't be read says nothing.
    """
    at = os.path.realpath(folder)
    while True:
        try:
            with open(os.path.join(at, ".dsvc", "config"), "rb") as stream:
                text = stream.read(_MAX_CONFIG_BYTES).decode("utf-8", "replace")
        except OSError:
            if at == os.path.dirname(at):
                return None
            at = os.path.dirname(at)
            continue
        section = re.search(r"(?ms)^\[core\]\s*$(.*?)(?:^\[|\Z)", text)
        found = re.search(r'(?m)^language\s*=\s*"([^"\\]*)"', section[1]) if section else None
        return found[1] if found else None


def catalogue_for(wanted: str | None) -> str | None:
    """Name the catalogue for a language such as ``zh``, ``zh-CN`` or ``zh_CN.UTF-8``; None for English.

    Every kind of Chinese gets the one that there is.
    """
    if not wanted:
        return None
    name = wanted.split(".", 1)[0].split("@", 1)[0].replace("-", "_").lower()
    return "zh_CN" if name.split("_", 1)[0] == "zh" else None


def use_language(wanted: str | None) -> None:
    """Speak the language `wanted` from now on; English where there is no catalogue for it."""
    global _current, _language  # noqa: PLW0603
    catalogue = catalogue_for(wanted)
    _current, _language = gettext.NullTranslations(), "en"
    if catalogue is None:
        gettext.textdomain("messages")
        return
    try:
        _current = gettext.translation(DOMAIN, LOCALE_DIR, [catalogue])
    except (OSError, ValueError):
        return
    _language = catalogue
    # click asks the default domain for its own texts, and finds the language in the environment.
    gettext.bindtextdomain(DOMAIN, LOCALE_DIR)
    gettext.textdomain(DOMAIN)
    os.environ["LANGUAGE"] = catalogue
