"""Evidence of a source: which kinds there are, what each acquisition needs, how a file's kind is told."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from dsvc.lineage.source_values import check_day
from dsvc.model.errors import UsageError
from dsvc.model.source_record import Acquisition, Evidence

LICENCE_TEXT, ROBOTS, TDMREP, HEADERS = "licence_text", "robots_txt", "tdmrep", "headers"
TYPES: Final = (
    LICENCE_TEXT,
    ROBOTS,
    TDMREP,
    HEADERS,
    "collection_record",
    "contract",
    "supplier_proof",
    "authorisation",
    "consent",
    "policy",
    "generator_terms",
    "annotation_rules",
    "deposit",
    "certificate",
    "assessment",
    "other",
)
"""What a file can prove; a closed list."""
MAX_EVIDENCE_BYTES: Final = 256 << 20
MAX_NAME_BYTES: Final = 200

_NEEDED: Final[dict[Acquisition, tuple[tuple[str, ...], ...]]] = {
    Acquisition.OPEN_DATASET: ((LICENCE_TEXT,),),
    Acquisition.CRAWL: (("collection_record",), (ROBOTS,), (TDMREP, HEADERS)),
    Acquisition.API: ((LICENCE_TEXT, "contract", "policy"),),
    Acquisition.SENSOR: (("collection_record", "authorisation"),),
    Acquisition.BULK: ((LICENCE_TEXT, "contract", "authorisation"),),
    Acquisition.PURCHASE: (("contract",), ("supplier_proof",)),
    Acquisition.USER_INPUT: (("authorisation", "consent"), ("policy",)),
    Acquisition.SELF_GENERATED: (("collection_record",),),
    Acquisition.SYNTHETIC: (("generator_terms",),),
    Acquisition.ANNOTATION_OUTPUT: (("annotation_rules", "contract"),),
}
_ALIASES: Final = {
    "license_text": LICENCE_TEXT,
    "licence": LICENCE_TEXT,
    "license": LICENCE_TEXT,
    "robots": ROBOTS,
    "tdm": TDMREP,
    "authorization": "authorisation",
    "terms": "generator_terms",
    "许可证": LICENCE_TEXT,
    "采集记录": "collection_record",
    "合同": "contract",
    "授权": "authorisation",
    "同意书": "consent",
    "标注规则": "annotation_rules",
}
_BY_NAME: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), type_)
    for pattern, type_ in (
        (r"robots.*\.txt|.*robots\.txt", ROBOTS),
        (r".*tdmrep.*\.json", TDMREP),
        (r".*headers?.*\.(txt|http|json)|.*\.headers?", HEADERS),
        (r"(un)?licen[cs]e.*|copying.*|.*[._-]licen[cs]e(\.\w+)?|.*许可.*", LICENCE_TEXT),
        (r".*(supplier|vendor|供应商|供方).*", "supplier_proof"),
        (r".*(contract|agreement|合同|协议).*", "contract"),
        (r".*(consent|同意).*", "consent"),
        (r".*(authori[sz]ation|授权).*", "authorisation"),
        (r".*(privacy|policy|隐私|政策).*", "policy"),
        (r".*(collection|crawl|采集).*", "collection_record"),
        (r".*(terms).*", "generator_terms"),
        (r".*(annotation|labell?ing|guideline|标注).*", "annotation_rules"),
        (r".*(deposit|存证).*", "deposit"),
        (r".*(certificate|证书).*", "certificate"),
        (r".*(assessment|评估).*", "assessment"),
    )
)
_OPTION: Final = re.compile(
    r"(?:(?P<type>[^=/]+)=)?(?P<file>.+?)(?:@(?P<from>[\d-]{10})?\.\.(?P<to>[\d-]{10})?)?"
)


class EvidenceError(UsageError):
    """Evidence is of no kind that there is, or can't be used."""

    code = "evidence"


class EvidenceOption(NamedTuple):
    """Evidence as it is named on the command line.

    Attributes
    ----------
    file : str
        The file.
    type : str or None
        One of `TYPES`; None: it is told from the file.
    valid_from, valid_to : str or None
        Dates.
    digest : bytes or None
        What its bytes must be.
    relative : str or None
        Its path below the working tree, where it may stand if `file` isn't there.
    """

    file: str
    type: str | None = None
    valid_from: str | None = None
    valid_to: str | None = None
    digest: bytes | None = None
    relative: str | None = None


def parse_option(text: str) -> EvidenceOption:
    """Read ``[TYPE=]FILE[@FROM..TO]``.

    Raises
    ------
    EvidenceError
        If the kind is none of `TYPES`.
    SourceFieldError
        If a date is none.
    """
    found = _OPTION.fullmatch(text)
    if found is None:
        raise EvidenceError(f"{text[:120]!r} names no evidence", hint="[TYPE=]FILE[@FROM..TO]")
    begins, ends = (
        None if day is None else check_day(day, "evidence") for day in (found["from"], found["to"])
    )
    # A file may have '=' in its name; only what is a kind, or could be meant as one, is split off.
    type_, file = found["type"], found["file"]
    return EvidenceOption(file, None if type_ is None else check_type(type_), begins, ends)


def check_type(text: str) -> str:
    """Return the kind of evidence that a word means.

    Raises
    ------
    EvidenceError
        If it means none, with the list of them.
    """
    word = text.strip().casefold().replace("-", "_").replace(" ", "_")
    word = _ALIASES.get(word, word)
    if word not in TYPES:
        from difflib import get_close_matches

        close = get_close_matches(word, TYPES, 1, 0.6)
        meant = f"did you mean {close[0]}? " if close else ""
        raise EvidenceError(
            f"{text[:80]!r} is no kind of evidence",
            hint=f"{meant}known are: {', '.join(TYPES)}; a name with '=' is given as other=NAME",
        )
    return word


def infer_type(name: str, data: bytes) -> str:
    """Tell the kind of evidence from a file's name, else from how it begins; ``other`` where neither says."""
    for pattern, type_ in _BY_NAME:
        if pattern.fullmatch(name):
            return type_
    head = data[:65_536].decode("utf-8", "replace")
    if re.search(r"(?im)^\s*user-agent\s*:", head) and re.search(r"(?im)^\s*(dis)?allow\s*:", head):
        return ROBOTS
    if re.match(r"\s*\[", head) and '"tdm-reservation"' in head:
        return TDMREP
    if re.match(r"HTTP/\d", head):
        return HEADERS
    if re.search(r"(?i)\b(licen[cs]ed? under|permission is hereby granted|public license|许可协议)", head):
        return LICENCE_TEXT
    return "other"


def evidence_needed(acquisition: Acquisition) -> tuple[tuple[str, ...], ...]:
    """Evidence that a kind of acquisition needs: of each group, one kind is enough."""
    return _NEEDED[acquisition]


def evidence_missing(
    acquisition: Acquisition, evidence: Iterable[Evidence], *, day: str | None = None
) -> tuple[tuple[str, ...], ...]:
    """Groups of `evidence_needed` of which there is none.

    Parameters
    ----------
    day : str or None
        A date on which it must hold; None: whenever.
    """
    held = {each.type for each in evidence if day is None or is_valid(each, day)}
    return tuple(group for group in evidence_needed(acquisition) if held.isdisjoint(group))


def is_valid(evidence: Evidence, day: str) -> bool:
    """Whether evidence holds on a day, ``YYYY-MM-DD``."""
    begins, ends = evidence.valid_from, evidence.valid_to
    return (begins is None or begins[:10] <= day) and (ends is None or day <= ends[:10])


def free_name(name: str, taken: Iterable[str]) -> str:
    """Make a name that no other evidence of the source has: ``robots-2.txt``."""
    taken = set(taken)
    stem, dot, suffix = name.partition(".") if not name.startswith(".") else (name, "", "")
    number, wanted = 1, name
    while wanted in taken:
        number += 1
        wanted = f"{stem}-{number}{dot}{suffix}"
    return wanted
