"""Facts of a run: what its kind asks for, such as who labelled, how it was reviewed, which model made it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from dsvc.model.errors import UsageError
from dsvc.model.run_record import RunKind


class By(StrEnum):
    """Who did it."""

    HUMAN = "human"
    MODEL = "model"


class Review(StrEnum):
    """Level of a review: rules and statistics, several annotators on the same items, an expert's sample."""

    AUTOMATIC = "automatic"
    CROSS = "cross"
    EXPERT = "expert"


class Verdict(StrEnum):
    """Outcome of a review."""

    PASSED = "pass"
    FAILED = "fail"


class Purpose(StrEnum):
    """What labels are for: what a model can do, or what it must not."""

    FUNCTIONAL = "functional"
    SAFETY = "safety"


class Aspect(StrEnum):
    """What a review looks at."""

    LABELS = "labels"
    SAFETY = "safety"
    QUALITY = "quality"


METRICS: Final = ("precision", "consistency", "timeliness", "completeness", "neutrality")
"""Measures of quality that a review can state, from 0 to 1."""
RECOMPUTED: Final = "recomputed"
SPLICED_FROM: Final = "spliced-from"
NOTES: Final = (RECOMPUTED, SPLICED_FROM)
"""What dsvc itself notes of a run of which only some rows were computed: how many; which run has the rest."""
_EVERY_KIND: Final = ("tool", "rules", "batch", "by", "model")
_ANNOTATION: Final = ("annotator", "reviewer", "agreement", "agreement_metric", "qualification")
_SYNTHESIS: Final = ("generator", "version", "prompt_hash", "config_hash", "seed_data")
FACTS: Final[Mapping[RunKind, tuple[str, ...]]] = {
    RunKind.LABEL: (*_ANNOTATION, "corrected_from", "auto_share", "purpose"),
    RunKind.REVIEW: (*_ANNOTATION, "review", "aspect", "verdict", "sample", "passed", *METRICS),
    RunKind.SYNTHESIZE: _SYNTHESIS,
    RunKind.AUGMENT: _SYNTHESIS,
}
"""Facts that a kind has, besides those of every kind."""
_CLOSED: Final[Mapping[str, type[StrEnum]]] = {
    "by": By,
    "review": Review,
    "verdict": Verdict,
    "purpose": Purpose,
    "aspect": Aspect,
}
_NUMBERS: Final[Mapping[str, tuple[float, float, str]]] = {
    "auto_share": (0, 1, "the share of labels that were made automatically"),
    "agreement": (-1, 1, "a coefficient such as Krippendorff's alpha; agreement_metric says which"),
    **dict.fromkeys(METRICS, (0, 1, "a share of all items, by the standard that was set before")),
}
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_COUNT: Final = re.compile(r"0*[1-9]\d{0,17}", re.ASCII)
_COUNT_FROM_0: Final = re.compile(r"\d{1,18}", re.ASCII)
_METRIC: Final = re.compile(r"[a-z][a-z0-9_]{0,99}")
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+")
_FULL_NAME: Final = re.compile(r"[A-Z][a-z]+(?: [A-Z][a-z.]*)+")


def check_facts(kind: RunKind, facts: Mapping[str, str]) -> None:
    """Refuse facts that a kind of run doesn't have, and values that they can't have.

    Raises
    ------
    UsageError
        Saying what is wrong, and what would be right.
    """
    known = (*_EVERY_KIND, *FACTS.get(kind, ()))
    for name, value in facts.items():
        if name not in known:
            close = get_close_matches(name, known, 1)
            raise UsageError(
                f"a run of kind {kind.value} has no fact {name[:80]!r}",
                hint=f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}; see --param",
            )
        if not value.strip():
            raise UsageError(f"the fact {name} is empty")
        _check_value(name, value)
    if "agreement_metric" in facts and "agreement" not in facts:
        raise UsageError(
            "agreement_metric says how an agreement was measured, and there is none",
            hint="--fact agreement=0.82 agreement_metric=krippendorff_alpha",
        )
    if "passed" in facts and int(facts["passed"]) > int(facts.get("sample", "0")):
        raise UsageError("more items passed than were reviewed", hint="--fact sample=4000 passed=3950")
    _check_people(facts)


def _check_value(name: str, value: str) -> None:
    words = [each.value for each in _CLOSED.get(name, ())]
    if words and value not in words:
        close = get_close_matches(value.lower(), words, 1)
        raise UsageError(
            f"{name} is {_either(words)}, not {value[:80]!r}",
            hint=f"did you mean {close[0]}?" if close else None,
        )
    if name in _NUMBERS:
        least, most, meaning = _NUMBERS[name]
        number = float(value) if _NUMBER.fullmatch(value) else math.nan
        if not least <= number <= most:
            raise UsageError(f"{name} is a number from {least} to {most}, not {value[:80]!r}", hint=meaning)
    if name == "sample" and not _COUNT.fullmatch(value):
        raise UsageError(f"sample is the number of items that were reviewed, not {value[:80]!r}")
    if name == "passed" and not _COUNT_FROM_0.fullmatch(value):
        raise UsageError(f"passed is the number of items that passed, not {value[:80]!r}")
    if name == "agreement_metric" and not _METRIC.fullmatch(value):
        raise UsageError(
            f"agreement_metric is a name, not {value[:80]!r}",
            hint="such as krippendorff_alpha, cohen_kappa or fleiss_kappa",
        )


def _either(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _check_people(facts: Mapping[str, str]) -> None:
    people = {role: _people(facts.get(role, "")) for role in ("annotator", "reviewer")}
    for role, names in people.items():
        real = next((each for each in names if _EMAIL.search(each) or _FULL_NAME.fullmatch(each)), None)
        if real is not None:
            raise UsageError(
                f"{role} looks like a person's name or address: {real[:80]!r}",
                hint="use a pseudonym, such as ann-07, and keep the list of who that is elsewhere",
            )
    if people["annotator"] & people["reviewer"]:
        raise UsageError(
            f"{min(people['annotator'] & people['reviewer'])[:80]} would review their own work",
            hint="annotator and reviewer are two people",
        )


def _people(text: str) -> set[str]:
    return {name.strip() for name in text.split(",") if name.strip()}
