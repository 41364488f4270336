"""Facts of a release as bytes: one value has one encoding, and a digest that its tag can carry."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, TypeVar

import msgspec
from blake3 import blake3

from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError, UnsupportedFormatError
from dsvc.model.paths import check_structure
from dsvc.release.facts import FORMAT, ReleasedRun, ReleasedSource, ReleaseFacts
from dsvc.release.verdict_facts import Found

MAX_BYTES: Final = 1 << 30
_DOMAIN: Final = b"dsvc release facts 1\0"
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z")

V = TypeVar("V")


class FactsMalformedError(MalformedInputError):
    """Not the facts of a release."""

    code: ClassVar[str] = "malformed-release"


def canonical(facts: ReleaseFacts) -> ReleaseFacts:
    """Put everything of which the order says nothing into order.

    Raises
    ------
    FactsMalformedError
        If something is in it twice, a number is not finite, or a digest or time is none.
    """
    verdict, lineage = facts.verdict, facts.lineage
    ordered = msgspec.structs.replace(
        facts,
        files=_by(facts.files, "path"),
        paths=tuple(sorted(set(facts.paths))),
        verdict=msgspec.structs.replace(
            verdict,
            packs=tuple(sorted(verdict.packs, key=lambda each: (each.name, each.digest))),
            rules=tuple(sorted(verdict.rules, key=lambda each: (each.id, each.pack))),
            violations=tuple(sorted(verdict.violations, key=_of_violation)),
            waivers=_by(verdict.waivers, "id", "why"),
            policy_changes=tuple(sorted(verdict.policy_changes, key=lambda each: (each.what, each.after))),
        ),
        lineage=msgspec.structs.replace(
            lineage,
            runs=tuple(_run(each) for each in _by(lineage.runs, "id")),
            sources=tuple(_source(each) for each in _by(lineage.sources, "id")),
        ),
        evaluations=_by(facts.evaluations, "feedback"),
        defects=_by(facts.defects, "id"),
        notices=tuple(sorted(facts.notices, key=lambda each: tuple(map(str, each)))),
    )
    if ordered.since is not None:
        since = msgspec.structs.replace(ordered.since, files=_by(ordered.since.files, "path"))
        ordered = msgspec.structs.replace(ordered, since=since)
    _check(ordered)
    return ordered


def encode_facts(facts: ReleaseFacts) -> bytes:
    """Encode facts; equal facts have equal bytes. Raises as `canonical`."""
    return encode(canonical(facts))


def decode_facts(data: bytes) -> ReleaseFacts:
    """Decode what `encode_facts` made.

    Raises
    ------
    FactsMalformedError
        If it is anything else.
    UnsupportedFormatError
        If it is newer than this dsvc.
    """
    found = decode(data, _Versioned, "facts of a release", limit=MAX_BYTES).format
    if found != FORMAT:
        raise UnsupportedFormatError(f"facts of a release of format {found}; this dsvc reads {FORMAT}")
    facts = decode(data, ReleaseFacts, "facts of a release", limit=MAX_BYTES)
    if encode_facts(facts) != data:
        raise FactsMalformedError("the facts of a release are not as dsvc writes them")
    return facts


def facts_digest(facts: ReleaseFacts) -> str:
    """BLAKE3-256 of the facts, in hex. Raises as `canonical`."""
    return blake3(_DOMAIN + encode_facts(facts)).hexdigest()


class _Versioned(msgspec.Struct):
    """Whatever the format, it says which it is."""

    format: int


def _by(values: tuple[V, ...], *names: str) -> tuple[V, ...]:
    def key(value: V) -> tuple[Any, ...]:
        return tuple(getattr(value, name) for name in names)

    ordered = sorted(values, key=key)
    for one, other in itertools.pairwise(ordered):
        if key(one) == key(other):
            raise FactsMalformedError(f"a release names something twice: {str(key(one)[0])[:200]}")
    return tuple(ordered)


def _of_violation(found: Found) -> tuple[str, bytes, str]:
    return found.rule, found.subject, found.message


def _sorted(mapping: Mapping[str, V]) -> dict[str, V]:
    return dict(sorted(mapping.items()))


def _run(run: ReleasedRun) -> ReleasedRun:
    return msgspec.structs.replace(
        run, parameters=_sorted(run.parameters), facts=_sorted(run.facts), rows=_sorted(run.rows)
    )


def _source(source: ReleasedSource) -> ReleasedSource:
    return msgspec.structs.replace(source, stated=_sorted(source.stated))


def _check(facts: ReleaseFacts) -> None:
    for each in facts.files:
        check_structure(each.path)
        if not _HEX.fullmatch(each.blake3) or (each.sha256 is not None and not _HEX.fullmatch(each.sha256)):
            raise FactsMalformedError(f"a release names {each.path[:200]!r} by a digest that is none")
    if not _HEX.fullmatch(facts.manifest) or not facts.name:
        raise FactsMalformedError("a release without a name, or without a root of its files")
    for moment in (facts.created_at, facts.verdict.judged_at):
        if not _MOMENT.fullmatch(moment):
            raise FactsMalformedError(f"a release has {moment[:40]!r} for a time, not RFC 3339 with Z")
    if not all(math.isfinite(number) for number in _numbers(facts)):
        raise FactsMalformedError("a release has a number that is not finite")


def _numbers(facts: ReleaseFacts) -> Iterator[float]:
    for evaluation in facts.evaluations:
        for metric in evaluation.metrics:
            yield metric.value
            yield metric.stderr or 0.0
    for change in () if facts.since is None else facts.since.metrics:
        for number in (change.before, change.after, change.low, change.high):
            yield number or 0.0
    for line in (*facts.mixture.by_source, *facts.mixture.by_type):
        yield line.weight
