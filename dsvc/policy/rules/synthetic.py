"""Rules over data that a model or a program made."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import ClassVar, Final

from dsvc.lineage.validation import Finding, Outcome, run_subject
from dsvc.model.run_record import Run, RunKind
from dsvc.model.source_record import Acquisition
from dsvc.policy.case import Case
from dsvc.policy.rule import Parameter, Rule, Terms
from dsvc.policy.source_facts import SourceFacts, states

_MARKS: Final = ("aigc_label", "c2pa_source_type")
_GONE: Final = frozenset({"none", "no", "removed", "无", "没有", "否", "已去除"})
"""What says that there is no mark, without a reason."""
_CAPTURED: Final = ("digitalcapture", "negativefilm", "positivefilm", "print", "humanedits", "digitalart")
"""How C2PA and IPTC name what no model made."""
_RECIPES: Final = ("prompt_hash", "config_hash", "seed_data")
_KINDS: Final = frozenset({RunKind.SYNTHESIZE, RunKind.AUGMENT})


class Marked(Rule):
    """Synthetic data says what made it, and keeps the mark that it is synthetic.

    A mark that was taken away is stated as ``removed: REASON``. With the parameter ``stated`` every source
    must say whether it is synthetic; without it one that doesn't say passes.
    """

    id = "SYN-01"
    settled_by = "engineer"
    parameters: ClassVar = MappingProxyType({"stated": Parameter(False)})

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at synthetic sources, and at runs that make data."""
        for facts in states(case):
            yield from _source(facts, stated=terms.flag("stated"))
        runs = case.judged.origins.runs
        for id_ in sorted(case.judged.closure.runs):
            run = runs.run(id_)
            if run.kind in _KINDS:
                yield from _run(bytes(id_), run)


def _source(facts: SourceFacts, *, stated: bool) -> Iterator[Finding]:
    said = facts.text("synthetic")
    if facts.is_open("acquisition"):
        yield facts.lacks_acquisition()
    if facts.is_open("synthetic"):
        yield facts.lacks_field("synthetic", "yes")
        return
    made = facts.record.acquisition is Acquisition.SYNTHETIC
    if made and said == "no":
        yield facts.fails(
            "its acquisition is synthetic, and the field synthetic is no", facts.setting("synthetic=yes")
        )
    if made or said == "yes":
        yield from _recipe(facts)
        yield from _mark(facts)
    elif said is None and stated:
        yield facts.lacks_field("synthetic", "no")


def _recipe(facts: SourceFacts) -> Iterator[Finding]:
    for name in ("generator", "generator_version"):
        if facts.text(name) is None:
            yield facts.lacks_field(name, "NAME" if name == "generator" else "VERSION", "it is synthetic")
    if facts.text("prompt_hash") is None and not facts.texts("seed_data"):
        yield facts.lacks_field("prompt_hash", "HASH", "it is synthetic; seed_data does as well")


def _mark(facts: SourceFacts) -> Iterator[Finding]:
    marks = {name: value for name in _MARKS if (value := facts.text(name)) is not None}
    if any(facts.is_open(name) for name in _MARKS) or not marks:
        yield facts.lacks_field(
            "aigc_label", "TEXT", "synthetic data is marked; c2pa_source_type does as well"
        )
    for name, value in marks.items():
        if value.casefold().rstrip(":： ") in _GONE:
            yield facts.fails(
                f"{name} is {value}: the mark of synthetic data is gone, and no reason says why",
                facts.setting(f"{name}=removed: REASON"),
            )
        elif name == "c2pa_source_type" and value.casefold().rpartition("/")[2] in _CAPTURED:
            yield facts.fails(
                f"c2pa_source_type is {value}, which no model made; it is synthetic",
                facts.setting("c2pa_source_type=trainedAlgorithmicMedia"),
            )


def _run(id_: bytes, run: Run) -> Iterator[Finding]:
    # What an augmentation does without a model is no synthetic data: it names no generator.
    if run.kind is RunKind.AUGMENT and not {"generator", "model"} & run.facts.keys():
        return
    missing = [name for name in ("generator", "version") if not run.facts.get(name, "").strip()]
    if not any(run.facts.get(name, "").strip() for name in _RECIPES):
        missing.append(" or ".join(_RECIPES))
    if missing:
        yield Finding(
            run_subject(id_),
            f"run {run.name} makes synthetic data and doesn't state {', '.join(missing)}",
            "run it again with --fact generator=… version=… prompt_hash=…",
            Outcome.INCOMPLETE,
        )
    if run.facts.get("by") == "human":
        yield Finding(
            run_subject(id_),
            f"run {run.name} makes synthetic data and says that a person made it",
            "run it again with --fact by=model, or with another --kind",
        )


RULES: Final = (Marked(),)
