"""The card of a release: Markdown for people, with front matter as the Hugging Face hub reads it.

Everything is made of the facts alone, in English or Chinese; the same facts give the same bytes. What others
wrote, titles, notes, names of files, is shown as text and never becomes structure (`dsvc.release.markdown`).
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from dsvc.model.paths import display_path
from dsvc.policy.notices import Notice
from dsvc.release.card_texts import Language, card_words
from dsvc.release.card_trail import changes, defects, drops, making, quality, verdict
from dsvc.release.facts import ReleasedFile, ReleaseFacts
from dsvc.release.facts_codec import canonical
from dsvc.release.front_matter import front_matter, write_yaml
from dsvc.release.markdown import bullets, clean, code, escape, number, table
from dsvc.release.mixture import MixtureLine

MOST_FILES: Final = 5_000
"""Of more files than these a card lists folders; readers of such pages give up on more."""
SECTIONS: Final = (
    "summary",
    "contents",
    "mixture",
    "sources",
    "licence",
    "making",
    "drops",
    "quality",
    "defects",
    "verdict",
    "changes",
    "verify",
    "contact",
)
Words = dict[str, str]


def dataset_card(facts: ReleaseFacts, language: Language = "en") -> bytes:
    """Write the card of a release.

    Parameters
    ----------
    language : str
        ``en`` or ``zh``: of headings and words; what the facts hold stays as it is.

    Raises
    ------
    FactsMalformedError
        If the facts are not such as can be kept.
    LicenseExpressionError
        If the licence can't be parsed.
    """
    facts = canonical(facts)
    words = card_words(language)
    makers = {
        "summary": _summary,
        "contents": _contents,
        "mixture": _mixture,
        "sources": _sources,
        "licence": _licence,
        "making": making,
        "drops": drops,
        "quality": quality,
        "defects": defects,
        "verdict": verdict,
        "changes": changes,
        "verify": _verify,
        "contact": _contact,
    }
    blocks = [f"# {escape(facts.title) or escape(facts.name)}"]
    for section in SECTIONS:
        blocks += [f"## {words[section]}", *makers[section](facts, words)]
    body = "\n\n".join(block for block in blocks if block)
    return (write_yaml(front_matter(facts)) + "\n" + body + "\n").encode("utf-8", "replace")


def _summary(facts: ReleaseFacts, words: Words) -> list[str]:
    lines = [
        (words["release"], escape(facts.name)),
        (words["commit"], code(facts.commit)),
        (words["manifest"], code(facts.manifest)),
        (words["created"], escape(facts.created_at)),
        (words["author"], escape(facts.author)),
        (words["files"], str(len(facts.files))),
        (words["bytes"], str(facts.size)),
        (words["rows"], str(facts.rows)),
        (words["licence_of"], escape(facts.licence)),
        (words["outcome"], escape(facts.verdict.outcome)),
    ]
    found = [escape(facts.description), table((words["field"], words["value"]), lines)]
    if facts.paths:
        found += [f"**{words['selected']}**", bullets(escape(display_path(path)) for path in facts.paths)]
    if facts.notes.strip():
        paragraphs = [escape(line) for line in facts.notes.splitlines()]
        found += [f"**{words['notes']}**", *(line for line in paragraphs if line)]
    return found


# What it holds


def _contents(facts: ReleaseFacts, words: Words) -> list[str]:
    if not facts.files:
        return [words["none"]]
    if len(facts.files) > MOST_FILES:
        return [words["several"], _folders(facts.files, words)]
    headers = [words[key] for key in ("file", "kind", "bytes", "rows", "columns", "digest")]
    return [table(headers, [_file(file) for file in facts.files])]


def _file(file: ReleasedFile) -> list[str]:
    columns = () if file.table is None else file.table.columns
    return [
        escape(display_path(file.path)),
        file.kind,
        str(file.size),
        number(file.rows),
        ", ".join(f"{escape(each.name)} ({escape(each.type)})" for each in columns),
        code(file.blake3),
    ]


def _folders(files: Sequence[ReleasedFile], words: Words) -> str:
    found: dict[bytes, list[int]] = defaultdict(lambda: [0, 0, 0])
    for file in files:
        counts = found[file.path.rpartition(b"/")[0]]
        counts[0] += 1
        counts[1] += file.size
        counts[2] += file.rows or 0
    headers = [words[key] for key in ("folder", "files", "bytes", "rows")]
    rows = [[escape(display_path(name)) or ".", *map(str, counts)] for name, counts in sorted(found.items())]
    return table(headers, rows)


def _mixture(facts: ReleaseFacts, words: Words) -> list[str]:
    mixture = facts.mixture
    if not mixture.by_source:
        return [words["none"]]
    share = mixture.synthetic_share
    found = [
        _parts("source", mixture.by_source, words),
        _parts("kind", mixture.by_type, words),
        f"{words['synthetic']}: {mixture.synthetic_rows}" + ("" if share is None else f" ({share:.2%})"),
    ]
    if mixture.unknown_rows:
        found.append(f"{words['synthetic_unknown']}: {mixture.unknown_rows}")
    return found


def _parts(of: str, lines: Sequence[MixtureLine], words: Words) -> str:
    headers = [words[key] for key in (of, "rows", "bytes", "weight")]
    rows = [
        [
            " + ".join(map(escape, each.of)) or words["not_known"],
            str(each.rows),
            str(each.bytes),
            f"{each.weight:.4f}",
        ]
        for each in lines
    ]
    return table(headers, rows)


# Where it comes from, and what may be done with it


def _sources(facts: ReleaseFacts, words: Words) -> list[str]:
    gap = [] if facts.lineage.complete else [words["lineage_gap"]]
    if not facts.lineage.sources:
        return [*gap, words["none"]]
    keys = ("source", "title", "licence_of", "acquisition", "basis", "status", "digest")
    rows = [
        [
            escape(each.id),
            escape(each.title),
            escape(each.licence),
            escape(each.acquisition),
            escape(each.legal_basis),
            escape(f"{each.status}: {each.reason}" if each.reason else each.status),
            code(each.digest),
        ]
        for each in facts.lineage.sources
    ]
    stated = [
        [escape(each.id), escape(field), escape("; ".join(each.texts(field)))]
        for each in facts.lineage.sources
        for field in sorted(each.stated)
    ]
    found = [*gap, table([words[key] for key in keys], rows)]
    if stated:
        headers = [words[key] for key in ("source", "field", "value")]
        found += [f"**{words['stated']}**", table(headers, stated)]
    return found


def _licence(facts: ReleaseFacts, words: Words) -> list[str]:
    found = [f"**{escape(facts.licence)}**"]
    if facts.notices:
        found.append(bullets(_notice(each, words) for each in facts.notices))
    return found


def _notice(notice: Notice, words: Words) -> str:
    holders = ", ".join(map(escape, notice.holders)) or words["not_known"]
    parts = [f"{escape(notice.title)}, {words['by_holder']} {holders}", escape(notice.licence)]
    parts += [escape(link) for link in notice.links]
    parts += [f"{words['licence_text']}: {code('blake3:' + digest)}" for digest in notice.texts]
    if notice.url:
        parts.append(f"{words['from']} {escape(notice.url)}")
    return "; ".join([*parts, f"{words['source']}: {escape(notice.source)}"])


# How to go on


def _verify(facts: ReleaseFacts, words: Words) -> list[str]:
    # In a block of code nothing is escaped: a name can't end it, since it is on one line after a word.
    command = f"dsvc release verify {shlex.quote(clean(facts.name))}"
    found = [words["verify_how"], f"```sh\n{command}\n```"]
    return found if len(facts.files) > MOST_FILES else [*found, words["verify_files"]]


def _contact(facts: ReleaseFacts, words: Words) -> list[str]:
    people = {text: None for each in facts.lineage.sources for text in each.texts("responsible_person")}
    found = [escape(facts.contact or facts.author)]
    if people:
        found.append(f"{words['sources']}: " + ", ".join(escape(each) for each in people))
    return found
