"""Options and settings by which git answers, and runs nothing that the repository around names."""

from __future__ import annotations

from typing import Final

QUIET: Final = (
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.untrackedCache=false"),
    *("-c", "diff.external="),
    *("-c", "core.pager=cat"),
    *("-c", "protocol.allow=never"),
)
"""Words that go between git and its command."""
SETTINGS: Final = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}
"""Variables that it is run with."""
