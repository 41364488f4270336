"""Settings of a repository: ``.dsvc/config``, a small TOML file with the format version in it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from dsvc.fs import files
from dsvc.model.errors import CorruptDataError, NotFoundError, UnsupportedFormatError, UsageError
from dsvc.store.layout import FEATURES, FORMAT_VERSION

OBJECT_FORMAT: Final = "sha1"
_MAX_DOTS: Final = 200


class Setting(NamedTuple):
    """A known setting: its default and how a value is checked."""

    default: str | None
    check: Callable[[str], bool]
    allowed: str


def _is_duration(value: str) -> bool:
    return re.fullmatch(r"\d{1,6}[smhd]", value) is not None


def _one_of(*values: str) -> Setting:
    return Setting(values[0], lambda v: v in values, " or ".join(values))


def _text(default: str | None = None) -> Setting:
    return Setting(default, lambda v: bool(v.strip()) and "\n" not in v and "\0" not in v, "a line of text")


def _seconds(default: str) -> Setting:
    return Setting(default, lambda v: re.fullmatch(r"\d{1,6}(\.\d{1,3})?", v) is not None, "seconds")


SETTINGS: Final[Mapping[str, Setting]] = {
    "core.durability": _one_of("full", "commit", "none"),
    "core.lockTimeout": _seconds("10"),
    "core.portableNames": _one_of("false", "true"),
    "core.pager": _text(),
    "core.language": _text(),
    "color.ui": _one_of("auto", "always", "never"),
    "user.name": _text(),
    "user.email": _text(),
    "user.signingKey": _text(),
    "commit.sign": _one_of("false", "true"),
    "hook.timeout": _seconds("600"),
    "policy.target": _text("main"),
    "limits.isolate": _one_of("false", "true"),
    "tables.normalize": _one_of("false", "true"),
    "gc.grace": Setting("14d", _is_duration, "like 14d, 12h or 0s"),
}
_ADVICE = re.compile(r"advice\.[a-zA-Z][a-zA-Z-]{0,40}")


def setting(key: str) -> Setting:
    """Look a setting up, whatever the case of its name.

    Raises
    ------
    UsageError
        If there is no such setting; the hint names the closest.
    """
    for name, found in SETTINGS.items():
        if name.lower() == key.lower():
            return found
    if _ADVICE.fullmatch(key):
        return _one_of("true", "false")
    close = difflib.get_close_matches(key, SETTINGS, 1)
    raise UsageError(f"unknown setting {key!r}", hint=f"did you mean {close[0]}?" if close else None)


def canonical_key(key: str) -> str:
    """Spell a known key as documented."""
    setting(key)
    return next((name for name in SETTINGS if name.lower() == key.lower()), key)


class Config:
    """The settings file of one repository.

    Parameters
    ----------
    path : str
        The file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._values: dict[str, str] | None = None

    def _load(self) -> dict[str, str]:
        if self._values is None:
            self._values = parse(self._path)
        return self._values

    def check_format(self) -> int:
        """Return the format version.

        Raises
        ------
        UnsupportedFormatError
            If the repository needs a version or a feature that this dsvc lacks.
        """
        values = self._load()
        try:
            version = int(values.get("repository.format", ""))
        except ValueError as error:
            raise CorruptDataError(f"{self._path} names no format version") from error
        features = set(filter(None, values.get("repository.features", "").split(",")))
        objects = values.get("repository.objectFormat", OBJECT_FORMAT)
        unknown = sorted(features - FEATURES) + (
            [] if objects == OBJECT_FORMAT else [f"objects by {objects}"]
        )
        if version != FORMAT_VERSION or unknown:
            missing = ", ".join(unknown) or f"format {version}"
            raise UnsupportedFormatError(f"this repository needs {missing}", hint="install a newer dsvc")
        return version

    def get(self, key: str) -> str | None:
        """Value of a setting, its default where it isn't set."""
        known = setting(key)
        return self._load().get(canonical_key(key), known.default)

    def flag(self, key: str) -> bool:
        """Whether a setting is ``true``."""
        return self.get(key) == "true"

    def set(self, key: str, value: str) -> None:
        """Set a value.

        Raises
        ------
        UsageError
            If key or value is not known.
        """
        known = setting(key)
        if not known.check(value):
            raise UsageError(f"{key} takes {known.allowed}, not {value!r}")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"{key} takes text in UTF-8, not {value!a}") from error
        self._write({**self._load(), canonical_key(key): value})

    def unset(self, key: str) -> None:
        """Remove a value, so that the default holds.

        Raises
        ------
        NotFoundError
            If it isn't set.
        """
        values = dict(self._load())
        if values.pop(canonical_key(key), None) is None:
            raise NotFoundError(f"{key} is not set")
        self._write(values)

    def items(self) -> Iterator[tuple[str, str, str]]:
        """Every setting that has a value, as (key, value, ``repository`` or ``default``)."""
        values = self._load()
        for key, known in SETTINGS.items():
            if key in values:
                yield key, values[key], "repository"
            elif known.default is not None:
                yield key, known.default, "default"
        for key in sorted(k for k in values if _ADVICE.fullmatch(k)):
            yield key, values[key], "repository"

    def _write(self, values: dict[str, str]) -> None:
        files.write_atomically(self._path, render(values))
        self._values = values


def parse(path: str) -> dict[str, str]:
    """Read a settings file into ``section.key`` → text; lists are joined by commas.

    Raises
    ------
    CorruptDataError
        If it isn't TOML of that shape.
    """
    import tomllib  # 5 ms that an import of this module needn't cost

    try:
        with open(path, "rb") as file:
            text = file.read(1 << 20).decode("utf-8")
        # The parser's time goes with the square of the parts of a key: nobody has one of so many.
        if any(line.count(".") > _MAX_DOTS for line in text.splitlines()):
            raise CorruptDataError(f"{path} is damaged: a line of too many parts", details={"path": path})
        sections = tomllib.loads(text)
    except OSError as error:
        raise files.storage_error(error, "read", path) from error
    except (ValueError, RecursionError) as error:  # of UTF-8, of TOML, of a number with thousands of digits
        raise CorruptDataError(f"{path} is damaged: {error}", details={"path": path}) from error
    values: dict[str, str] = {}
    for section, table in sections.items():
        if not isinstance(table, dict):
            raise CorruptDataError(f"{path}: {section} is no section", details={"path": path})
        for key, value in table.items():
            if isinstance(value, list) and all(isinstance(v, str) for v in value):
                values[f"{section}.{key}"] = ",".join(value)
            elif isinstance(value, bool):
                values[f"{section}.{key}"] = "true" if value else "false"
            elif isinstance(value, str | float) or (isinstance(value, int) and value.bit_length() <= 64):
                values[f"{section}.{key}"] = str(value)
            else:
                raise CorruptDataError(f"{path}: {section}.{key} has a wrong value", details={"path": path})
    return values


def _quote(value: str) -> str:
    escaped = "".join(
        f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else "\\" + c if c in '"\\' else c for c in value
    )
    return f'"{escaped}"'


def render(values: Mapping[str, str]) -> bytes:
    """Write settings as TOML."""
    sections: dict[str, list[str]] = {}
    for key in sorted(values):
        section, _, name = key.partition(".")
        value = values[key]
        if key == "repository.format":
            text = value
        elif key == "repository.features":
            text = "[" + ", ".join(_quote(v) for v in value.split(",")) + "]"
        else:
            text = _quote(value)
        sections.setdefault(section, []).append(f"{name} = {text}")
    ordered = sorted(sections, key=lambda s: (s != "repository", s))
    return "\n".join(f"[{s}]\n" + "\n".join(sections[s]) + "\n" for s in ordered).encode()


def initial() -> bytes:
    """Content of a new repository's file."""
    return render(
        {
            "repository.format": str(FORMAT_VERSION),
            "repository.features": ",".join(sorted(FEATURES)),
            "repository.objectFormat": OBJECT_FORMAT,
        }
    )


def config_exists(dsvc_folder: str) -> bool:
    """Whether a folder holds a repository."""
    return os.path.isfile(os.path.join(dsvc_folder, "config"))
