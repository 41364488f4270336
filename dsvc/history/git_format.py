"""Whether a bare repository is in a format that is read here, by its own configuration."""

from __future__ import annotations

import os
import re
from typing import Final

from dsvc.fs.files import storage_error
from dsvc.model.errors import CorruptDataError, UnsupportedFormatError

_MAX_BYTES: Final = 1 << 20
_SECTION: Final = re.compile(r"\[\s*([\w.-]+)(?:\s+\"[^\"]*\")?\s*\]")
_SETTING: Final = re.compile(r"([\w-]+)\s*(?:=\s*(.*?))?\s*(?:[#;].*)?")
# What changes nothing in how objects and refs are kept, with the values for which that is so.
_HARMLESS: Final = {
    "noop": None,
    "preciousobjects": None,
    "worktreeconfig": None,
    "objectformat": "sha1",
    "refstorage": "files",
}


def check_git_format(git_dir: str) -> None:
    """See that git, or a newer dsvc, keeps objects and refs as they are read here.

    Raises
    ------
    UnsupportedFormatError
        If the repository has a version or an extension that is not known, such as another object format.
    CorruptDataError
        If its configuration names no version.
    StorageError
        If it can't be read.
    """
    path = os.path.join(git_dir, "config")
    try:
        with open(path, "rb") as file:
            text = file.read(_MAX_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        # As git has it: a repository without a configuration is of version 0.
        return
    except OSError as error:
        raise storage_error(error, "read", path) from error
    version, extensions = _read(text)
    if not version.isdecimal():
        raise CorruptDataError(f"{path} names no format version", details={"path": path})
    unknown = [
        f"{name} = {value}"
        for name, value in extensions
        if name not in _HARMLESS or _HARMLESS[name] not in (None, value.lower())
    ]
    if int(version) > 1 or (int(version) == 1 and unknown):
        needed = ", ".join(unknown) or f"version {int(version)}"
        raise UnsupportedFormatError(
            f"the git repository in .dsvc needs {needed}", hint="install a newer dsvc"
        )


def _read(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Version and extensions, names in lower case."""
    section, version, extensions = "", "0", []
    for line in text.splitlines():
        line = line.strip()
        header = _SECTION.match(line)
        if header is not None:
            section, line = header[1].lower(), line[header.end() :].strip()
        setting = _SETTING.fullmatch(line)
        if setting is None:
            continue
        name, value = setting[1].lower(), (setting[2] or "").strip('"')
        if section == "core" and name == "repositoryformatversion":
            version = value
        elif section == "extensions":
            extensions.append((name, value))
    return version, extensions
