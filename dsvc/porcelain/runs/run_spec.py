"""What a run shall be: its name and kind, what it reads and makes, and what its kind asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

import msgspec

from dsvc.model.errors import UsageError
from dsvc.model.paths import check_structure, display_path
from dsvc.model.run_record import NEEDS_NO_INPUT, OWN_KINDS, RunKind
from dsvc.porcelain.runs.run_facts import check_facts
from dsvc.porcelain.runs.run_keys import Keys

GRADES: Final = ("general", "important", "core")
"""Classification of data, lowest first."""
MAX_NAME_CHARACTERS: Final = 200
MAX_TEXT_CHARACTERS: Final = 10_000
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a run shall be.

    Attributes
    ----------
    name : str
        Name of the step.
    kind : RunKind
    inputs, outputs, lookups : sequence of bytes
        Files and folders, relative to the working tree; ``b""`` is the tree itself.
    parameters, facts : mapping of str to str
    keys : mapping
        Key columns by path; at None for every artifact that has them.
    renamed : mapping of str to str
        New names of key columns by their old ones.
    rowwise : bool
        Whether each input row's outputs depend on it, parameters, code and lookups only.
    seed : str or None
    drop_reason : str or None
        Why rows are dropped, where the step doesn't say it itself.
    grade : str or None
        Classification of the outputs, one of `GRADES`.
    declassified : str or None
        Why the grade may be lower than the inputs'.
    """

    name: str
    kind: RunKind = RunKind.TRANSFORM
    inputs: Sequence[bytes] = ()
    outputs: Sequence[bytes] = ()
    lookups: Sequence[bytes] = ()
    parameters: Mapping[str, str] = {}
    facts: Mapping[str, str] = {}
    keys: Keys = {}
    renamed: Mapping[str, str] = {}
    rowwise: bool = False
    seed: str | None = None
    drop_reason: str | None = None
    grade: str | None = None
    declassified: str | None = None


def kind_of(name: str, kind: str | None = None) -> RunKind:
    """Kind of a step: as asked, else the one that its name is, else a transformation.

    Raises
    ------
    UsageError
        If there is no such kind.
    """
    known = [each.value for each in RunKind if each not in OWN_KINDS]
    if kind is None:
        return RunKind(name) if name in known else RunKind.TRANSFORM
    if kind not in known:
        close = get_close_matches(kind, known, 1)
        raise UsageError(
            f"there is no kind of run {kind[:80]!r}",
            hint=f"did you mean {close[0]}?" if close else f"kinds: {', '.join(known)}",
        )
    return RunKind(kind)


def check_spec(spec: RunSpec) -> None:
    """Refuse what can be no run.

    Raises
    ------
    UsageError
        Saying what is wrong, and what would be right.
    MalformedInputError
        If a path breaks the path rule.
    """
    if not spec.name.strip() or len(spec.name) > MAX_NAME_CHARACTERS or _CONTROL.search(spec.name):
        raise UsageError("a run needs a name of one line", hint="--name dedup, for instance")
    if not spec.outputs:
        raise UsageError("a run needs an output", hint="-o PATH names a file or folder that it makes")
    if not spec.inputs and spec.kind not in NEEDS_NO_INPUT:
        free = " and ".join(sorted(NEEDS_NO_INPUT))
        raise UsageError(
            f"a run of kind {spec.kind.value} needs an input",
            hint=f"-i PATH names a file or folder that it reads; only {free} need none",
        )
    for path in (*spec.inputs, *spec.outputs, *spec.lookups):
        if path:
            check_structure(path)
    both = set(spec.lookups) & {*spec.inputs, *spec.outputs}
    if both:
        raise UsageError(
            f"{display_path(min(both))} can't be a lookup and an input or output as well",
            hint="rows of an input are accounted for, a lookup counts as a whole",
        )
    check_facts(spec.kind, spec.facts)
    _check_grade(spec)
    texts = [*spec.parameters.values(), *spec.facts.values(), spec.drop_reason or "", spec.declassified or ""]
    if any(len(text) > MAX_TEXT_CHARACTERS for text in texts):
        raise UsageError(
            f"a value is longer than {MAX_TEXT_CHARACTERS} characters", hint="put it into a file"
        )


def _check_grade(spec: RunSpec) -> None:
    if spec.grade is not None and spec.grade not in GRADES:
        raise UsageError(f"there is no grade {spec.grade[:80]!r}", hint=f"grades: {', '.join(GRADES)}")
    if spec.declassified is not None and (spec.grade is None or not spec.declassified.strip()):
        raise UsageError(
            "a declassification needs a reason and the grade that the outputs have then",
            hint='--grade general --declassify "REASON, approved by WHO"',
        )
