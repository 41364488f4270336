"""Make the message catalogues: ``python scripts/catalogues.py [--check]``.

Reads every text that ``dsvc/cli`` passes through ``_``, ``N_`` and ``ngettext``, brings each ``*.po`` under
``dsvc/cli/locale`` up to date (new texts untranslated at their place, texts that are gone removed), and
compiles it to the ``*.mo`` beside it. With ``--check`` nothing is written; exit 1 says what is missing.
"""

from __future__ import annotations

import argparse
import ast
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "dsvc" / "cli"
LOCALE = SOURCES / "locale"

# What click says itself, in the words of its newest version; older ones differ in a few.
FROM_CLICK = (
    "Usage:",
    "Options",
    "Show this message and exit.",
    "Missing argument",
    "Missing option",
    "Missing parameter",
    "Invalid value: {message}",
    "Invalid value for {param_hint}: {message}",
    "Option {name!r} does not take a value.",
    "{value!r} is not a valid {number_type}.",
    "{value} is not in the range {range}.",
    "required",
    "default: {default}",
)
PLURALS_FROM_CLICK = (
    ("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    ("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    ("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
)
_PLACE = re.compile(r"\{[^{}]*\}")


class Message(NamedTuple):
    """A text, its plural where it has one."""

    one: str
    many: str | None = None


Catalogue = dict[Message, list[str]]


def texts_of(path: Path) -> Iterator[tuple[Message, int]]:
    """Yield the texts that a module marks for translation, with their lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        values = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        words = [value for value in values if isinstance(value, str)]
        if node.func.id in {"_", "N_"} and words:
            yield Message(words[0]), node.lineno
        elif node.func.id == "ngettext":
            yield Message(words[0], words[1]), node.lineno


def all_texts() -> dict[Message, str]:
    """Return every text with the module where it is first used."""
    found: dict[Message, str] = {}
    for path in sorted(SOURCES.rglob("*.py")):
        for message, _line in sorted(texts_of(path), key=lambda item: item[1]):
            found.setdefault(message, path.relative_to(ROOT).as_posix())
    for text in FROM_CLICK:
        found.setdefault(Message(text), "click")
    for one, many in PLURALS_FROM_CLICK:
        found.setdefault(Message(one, many), "click")
    return found


def quote(text: str) -> str:
    """Write a text as a catalogue has it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\b", "\\b")
    return f'"{escaped}"'


def unquote(text: str) -> str:
    """Read a quoted text."""
    value = ast.literal_eval(text)
    assert isinstance(value, str)
    return value


def read(path: Path) -> tuple[str, Catalogue]:
    """Read a catalogue: its head, and the translations (one, or one for each plural form)."""
    head, found = "", Catalogue()
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        fields: dict[str, str] = {}
        keyword = ""
        for line in block.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if not line.startswith('"'):
                keyword, _blank, line = line.partition(" ")
            fields[keyword] = fields.get(keyword, "") + unquote(line)
        if not fields:
            continue
        texts = [value for name, value in fields.items() if name.startswith("msgstr")]
        if fields["msgid"] == "":
            head = texts[0]
        else:
            found[Message(fields["msgid"], fields.get("msgid_plural"))] = texts
    return head, found


def write(head: str, catalogue: Catalogue, places: dict[Message, str]) -> str:
    """Return the text of a catalogue, in the order of the sources."""
    lines = ['msgid ""', 'msgstr ""', *(quote(line + "\n") for line in head.splitlines())]
    blocks = ["\n".join(lines)]
    for message, place in places.items():
        texts = catalogue.get(message) or [""]
        lines = [f"#: {place}", f"msgid {quote(message.one)}"]
        if message.many is None:
            lines.append(f"msgstr {quote(texts[0])}")
        else:
            lines.append(f"msgid_plural {quote(message.many)}")
            lines += [f"msgstr[{index}] {quote(text)}" for index, text in enumerate(texts)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def compiled(head: str, catalogue: Catalogue) -> bytes:
    """Return the catalogue in the binary form that gettext reads; untranslated texts are left out."""
    entries = {b"": head.encode()}
    for message, texts in catalogue.items():
        if all(texts):
            original = message.one if message.many is None else f"{message.one}\0{message.many}"
            entries[original.encode()] = "\0".join(texts).encode()
    keys = sorted(entries)
    start = 28 + 16 * len(keys)
    originals = b"".join(key + b"\0" for key in keys)
    translations = b"".join(entries[key] + b"\0" for key in keys)
    tables: tuple[list[int], list[int]] = ([], [])
    at = [start, start + len(originals)]
    for key in keys:
        for index, entry in enumerate((key, entries[key])):
            tables[index].extend((len(entry), at[index]))
            at[index] += len(entry) + 1
    header = struct.pack("<7I", 0x950412DE, 0, len(keys), 28, 28 + 8 * len(keys), 0, 0)
    table = struct.pack(f"<{4 * len(keys)}I", *tables[0], *tables[1])
    return header + table + originals + translations


def problems(catalogue: Catalogue, places: dict[Message, str]) -> Iterator[str]:
    """Say what is untranslated, and which translations have other places in braces than the text."""
    for message, place in places.items():
        texts = catalogue.get(message, [""])
        if not all(texts):
            yield f"{place}: not translated: {message.one!r}"
            continue
        wanted = set(_PLACE.findall(message.one)) | set(_PLACE.findall(message.many or ""))
        for text in texts:
            places_there = set(_PLACE.findall(text))
            if not places_there <= wanted or (message.many is None and places_there != wanted):
                yield f"{place}: other places in braces: {message.one!r} → {text!r}"


def main() -> int:
    """Bring the catalogues up to date, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything is missing")
    check: bool = parser.parse_args().check
    places = all_texts()
    wrong: list[str] = []
    for path in sorted(LOCALE.rglob("*.po")):
        head, catalogue = read(path)
        kept = {message: catalogue.get(message, [""]) for message in places}
        text, data = write(head, kept, places), compiled(head, kept)
        wrong += problems(kept, places)
        binary = path.with_suffix(".mo")
        if not check:
            path.write_text(text, encoding="utf-8")
            binary.write_bytes(data)
        elif path.read_text(encoding="utf-8") != text or not binary.exists() or binary.read_bytes() != data:
            wrong.append(f"{path.relative_to(ROOT)} is not up to date: run python scripts/catalogues.py")
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
