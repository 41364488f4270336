"""Secrets taken out of what is recorded: words of commands, parameters, environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

REDACTED: Final = "<redacted>"
_SECRET_NAME: Final = re.compile(
    r"(?i)(?:^|[^a-z])(?:api|access|secret|private|auth|encryption)?[-_.]?"
    r"(?:key|keys|token|secret|secrets|password|passwords|passwd|passphrase|pwd|pass|credential|"
    r"credentials|auth|authorization|cookie|bearer)(?:$|[^a-z])"
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_HARMLESS: Final = re.compile(r"(?i)^(?:sort|partition|primary|foreign|join|group|rename)?[-_.]?keys?$")
"""Keys of tables, not of doors; an API key has its name in full."""
_URL_PASSWORD: Final = re.compile(r"(?P<start>[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@]*@")
_URL_QUERY: Final = re.compile(r"(?P<start>[?&](?P<name>[^=&#\s]+)=)(?P<value>[^&#\s]+)")
_HEADER: Final = re.compile(r"(?i)\b(?P<start>(?:bearer|basic|token)\s+)[A-Za-z0-9._~+/=-]{6,}")
_KNOWN_TOKENS: Final = re.compile(
    r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{20,}"
    r"|sk-[A-Za-z0-9_-]{16,}|xox[abprs]-[\w-]{10,}|AIza[\w-]{30,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"
    r"|pypi-[\w-]{20,}|npm_[A-Za-z0-9]{20,})"
)
_IN_LINE: Final = re.compile(
    r"(?P<start>(?<![\w-])(?P<name>-{0,2}[A-Za-z_][\w.-]*)(?:=|(?<=[\w])\s+(?!-)))"
    r"(?P<value>'[^']*'|\"[^\"]*\"|[^\s'\"|&;<>]+)"
)
_OPTION: Final = re.compile(r"(?P<name>-{0,2}[A-Za-z_][\w.-]*)(?P<sign>[=:])(?P<value>.+)", re.DOTALL)


def is_secret_name(name: str) -> bool:
    """Whether what has this name is likely a secret: ``API_KEY``, ``--db-password``, ``githubToken``."""
    bare = name.lstrip("-")
    if _HARMLESS.match(bare):
        return False
    return _SECRET_NAME.search(_CAMEL.sub("_", bare)) is not None


def redacted(text: str) -> str:
    """Take credentials out of a text: passwords and tokens of URLs and headers, tokens of known shapes."""
    text = _URL_PASSWORD.sub(rf"\g<start>{REDACTED}@", text)
    text = _HEADER.sub(rf"\g<start>{REDACTED}", text)
    text = _KNOWN_TOKENS.sub(REDACTED, text)
    return _URL_QUERY.sub(
        lambda found: found["start"] + (REDACTED if is_secret_name(found["name"]) else found["value"]), text
    )


def redacted_words(words: Sequence[str]) -> tuple[str, ...]:
    """Take secrets out of the words of a command: ``--password=x``, ``--token x``, ``KEY=x``, URLs."""
    if len(words) == 1:
        return (redacted(_redacted_line(words[0])),)
    result: list[str] = []
    follows = False
    for word in words:
        option = _OPTION.fullmatch(word)
        if follows and not word.startswith("-"):
            result.append(REDACTED)
        elif option is not None and is_secret_name(option["name"]):
            result.append(f"{option['name']}{option['sign']}{REDACTED}")
        else:
            result.append(redacted(_redacted_line(word) if " " in word else word))
        follows = word.startswith("-") and option is None and is_secret_name(word)
    return tuple(result)


def _redacted_line(line: str) -> str:
    """Take secrets out of a line for the shell: ``--password=x``, ``--token x``, ``KEY=x``."""
    parts: list[str] = []
    at = 0
    while match := _IN_LINE.search(line, at):
        is_option = match["name"].startswith("-") or match["start"].endswith("=")
        secret = is_option and is_secret_name(match["name"])
        parts += [line[at : match.start("value")], REDACTED if secret else ""]
        # What is the value of no secret may be the name of one.
        at = match.end() if secret else match.start("value")
    return "".join(parts) + line[at:]


def redacted_mapping(values: Mapping[str, str]) -> dict[str, str]:
    """Take secrets out of named values."""
    return {name: REDACTED if is_secret_name(name) else redacted(value) for name, value in values.items()}
