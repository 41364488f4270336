"""Who commits, where dsvc's own config doesn't say: the environment, git's settings, else the login name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import count

from dsvc.cli.environment.settings import Settings

MAX_CONFIG_BYTES = 1 << 20
MAX_INCLUDES = 10
MAX_FILES = 100

_SECTION = re.compile(r'\s*\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\](.*)')
_SETTING = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)\s*(?:=(.*))?$")
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b"}


def parse_value(raw: str) -> str:
    """Read a value as git writes it: quotes, escapes, comments after ``#`` and ``;``."""
    value: list[str] = []
    quoted = False
    kept = 0
    characters = iter(raw.strip())
    for character in characters:
        if character == '"':
            quoted = not quoted
            kept = len(value)
        elif character == "\\":
            following = next(characters, "")
            value.append(_ESCAPES.get(following, following))
            kept = len(value)
        elif character in "#;" and not quoted:
            break
        else:
            value.append(character)
            if quoted or not character.isspace():
                kept = len(value)
    return "".join(value[:kept])


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_CONFIG_BYTES)
    except (OSError, ValueError):  # a name with NUL
        return []
    text = data.decode("utf-8", "replace").replace("\\\r\n", "").replace("\\\n", "")
    return text.lstrip("\ufeff").splitlines()


def read_git_config(path: str, home: str | None) -> Iterator[tuple[str, str]]:
    """Yield ``section.key`` and value of a file of git's config; what cannot be read gives nothing.

    ``include.path`` is followed, `MAX_INCLUDES` deep and for `MAX_FILES` files; conditional includes are not.
    """
    return _settings(path, home, 0, count(1))


def _settings(path: str, home: str | None, depth: int, files: Iterator[int]) -> Iterator[tuple[str, str]]:
    section = ""
    for line in _lines(path):
        heading = _SECTION.match(line)
        if heading:
            name, subsection, line = heading.groups()
            section = name.lower() + (f".{subsection}" if subsection is not None else "")
        setting = _SETTING.match(line)
        if not setting or not section:
            continue
        key = f"{section}.{setting[1].lower()}"
        value = "true" if setting[2] is None else parse_value(setting[2])
        if key == "include.path" and depth < MAX_INCLUDES:
            # Two files that include each other twice would be read a thousand times.
            if next(files) < MAX_FILES:
                target = os.path.join(home, value[2:]) if home and value.startswith("~/") else value
                yield from _settings(os.path.join(os.path.dirname(path), target), home, depth + 1, files)
        else:
            yield key, value


def _repository_config(start: str) -> str | None:
    """Find the config of the git repository around `start`."""
    folder = os.path.abspath(start)
    while True:
        git = os.path.join(folder, ".git")
        if os.path.isdir(git):
            return os.path.join(git, "config")
        lines = _lines(git) if os.path.isfile(git) else []
        if lines and lines[0].startswith("gitdir: "):
            git_dir = os.path.join(folder, lines[0].removeprefix("gitdir: ").strip())
            shared = _lines(os.path.join(git_dir, "commondir"))
            return os.path.join(git_dir, shared[0].strip() if shared else "", "config")
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def user_config_files(settings: Settings) -> Iterator[str]:
    """Yield the files of the system and the user that git reads, the weakest first."""
    if not settings.flag("GIT_CONFIG_NOSYSTEM"):
        yield settings.variable("GIT_CONFIG_SYSTEM") or "/etc/gitconfig"
    home = settings.variable("HOME")
    everywhere = settings.variable("GIT_CONFIG_GLOBAL")
    if everywhere:
        yield everywhere
    elif home:
        folder = settings.variable("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        yield os.path.join(folder, "git", "config")
        yield os.path.join(home, ".gitconfig")


def _config_files(settings: Settings, start: str) -> Iterator[str]:
    """Yield the files that git reads, the weakest first."""
    yield from user_config_files(settings)
    repository = _repository_config(start)
    if repository:
        yield repository


def _login(settings: Settings) -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return settings.variable("USER") or settings.variable("LOGNAME") or f"uid{os.getuid()}"


def _host() -> str:
    import socket

    return socket.gethostname() or "localhost"


def _clean(text: str) -> str:
    """Leave out what a commit's header can't hold."""
    return re.sub(r"[<>\x00-\x1f\x7f]", "", text.encode("utf-8", "replace").decode("utf-8")).strip()


def find_identity(settings: Settings, start: str = ".") -> tuple[str, str, bool]:
    """Return name, email, and whether somebody set them (else they are the login name and the host).

    ``DSVC_AUTHOR_NAME`` and ``DSVC_AUTHOR_EMAIL`` come first, then what git would use: its environment, the
    config of the git repository around `start`, of the user, of the system.
    """
    name = settings.variable("DSVC_AUTHOR_NAME") or settings.variable("GIT_AUTHOR_NAME")
    email = settings.variable("DSVC_AUTHOR_EMAIL") or settings.variable("GIT_AUTHOR_EMAIL")
    if not (name and email):
        found: dict[str, str] = {}
        for path in _config_files(settings, start):
            found.update(read_git_config(path, settings.variable("HOME")))
        name = name or found.get("author.name") or found.get("user.name")
        email = email or found.get("author.email") or found.get("user.email")
    known = bool(name and _clean(name) and email and _clean(email))
    login = _login(settings) if not known else ""
    return (
        _clean(name or "") or login,
        _clean(email or "") or f"{login or _login(settings)}@{_host()}",
        known,
    )
