"""The front matter of a dataset card: YAML as the Hugging Face hub reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from dsvc.lineage.license_text import check_license, licenses_of
from dsvc.lineage.source_fields import UNDETERMINED
from dsvc.release.facts import ReleaseFacts

Value = str | list[str]

_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_SIZES: Final = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
    (10_000_000_000, "1B<n<10B"),
    (100_000_000_000, "10B<n<100B"),
    (1_000_000_000_000, "100B<n<1T"),
)
_SAME_NAME: Final = frozenset(
    [
        "afl-3.0",
        "apache-2.0",
        "artistic-2.0",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsl-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cc-by-nd-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc0-1.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "cdla-sharing-1.0",
        "ecl-2.0",
        "epl-1.0",
        "epl-2.0",
        "etalab-2.0",
        "eupl-1.1",
        "eupl-1.2",
        "isc",
        "mit",
        "mpl-2.0",
        "ms-pl",
        "ncsa",
        "ofl-1.1",
        "osl-3.0",
        "postgresql",
        "unlicense",
        "wtfpl",
        "zlib",
    ]
)
_OTHER_NAME: Final = {"c-uda-1.0": "c-uda", "odbl-1.0": "odbl", "odc-by-1.0": "odc-by", "pddl-1.0": "pddl"}
_UNPRINTABLE: Final = re.compile(
    "[^\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def front_matter(facts: ReleaseFacts) -> dict[str, Value]:
    """Say of a release what the hub asks for: name, licence, languages, size, tags."""
    found: dict[str, Value] = {"pretty_name": facts.title or facts.name, **_licence(facts.licence)}
    languages = {text for source in facts.lineage.sources for text in source.texts("language")}
    known = sorted(text for text in languages if _LANGUAGE.fullmatch(text))
    if known:
        found["language"] = known
    rows = facts.mixture.rows or facts.rows
    found["size_categories"] = [next((name for most, name in _SIZES if rows < most), "n>1T")]
    found["tags"] = ["dsvc", *(["synthetic"] if facts.mixture.synthetic_rows else [])]
    return found


def _licence(expression: str) -> dict[str, Value]:
    """Name a licence as the hub does; what it has no name for is ``other``, with its SPDX expression."""
    if expression == UNDETERMINED or not expression.strip():
        return {"license": "unknown"}
    names = []
    for each in dict.fromkeys(licenses_of(check_license(expression))):
        name = each.lower()
        names.append(name if name in _SAME_NAME else _OTHER_NAME.get(name, ""))
    if not names or not all(names) or " OR " in expression or " WITH " in expression:
        return {"license": "other", "license_name": expression}
    return {"license": names[0] if len(names) == 1 else names}


def write_yaml(values: Mapping[str, Value]) -> str:
    """Write YAML, with every text in quotes: nothing in it can end it."""
    lines = ["---"]
    for key, value in values.items():
        if isinstance(value, str):
            lines.append(f"{key}: {_quoted(value)}")
        else:
            lines += [f"{key}:", *(f"- {_quoted(each)}" for each in value)]
    return "\n".join([*lines, "---"]) + "\n"


def _quoted(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _UNPRINTABLE.sub(_escaped, plain) + '"'


def _escaped(match: re.Match[str]) -> str:
    point = ord(match[0])
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
