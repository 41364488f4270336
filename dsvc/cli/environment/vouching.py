"""What a user has said of repositories, outside of any: which to trust, and to be careful with all of them.

It stands where git looks: ``safe.directory`` and ``dsvc.isolate`` in git's settings of user and system.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from dsvc.cli.environment.identity import read_git_config, user_config_files
from dsvc.cli.environment.settings import Settings

_YES = frozenset(["true", "yes", "on", "1"])


class Vouching:
    """Reads git's settings of the user when they are asked for.

    Parameters
    ----------
    settings : Settings
        The environment.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def _values(self, wanted: str) -> Iterator[str]:
        home = self._settings.variable("HOME")
        for path in user_config_files(self._settings):
            for key, value in read_git_config(path, home):
                if key == wanted:
                    yield value

    def vouches(self, root: str, owner: int) -> bool:
        """Whether a repository of somebody else is trusted, by the rules of git's ``safe.directory``."""
        if os.geteuid() == 0 and self._settings.variable("SUDO_UID") == str(owner):
            # Who became root by sudo still is who he was.
            return True
        safe = False
        for value in self._values("safe.directory"):
            # An empty value takes back what stood before it.
            safe = bool(value) and (safe or self._names(value, root))
        return safe

    def _names(self, value: str, root: str) -> bool:
        home = self._settings.variable("HOME")
        if home and value.startswith("~/"):
            value = os.path.join(home, value[2:])
        if value == "*":
            return True
        if value.endswith("/*"):
            return root.startswith(os.path.realpath(value[:-2]).rstrip("/") + "/")
        return os.path.isabs(value) and os.path.realpath(value) == root

    def isolates(self) -> bool:
        """Whether the user wants every table read in a child process first."""
        return any(value.lower() in _YES for value in self._values("dsvc.isolate"))
