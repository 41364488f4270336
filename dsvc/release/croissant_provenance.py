"""What Croissant says of how data came about: PROV-O for sources and runs, and the RAI vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from dsvc.model.paths import display_path
from dsvc.model.run_record import RunKind
from dsvc.model.source_record import Acquisition
from dsvc.release.facts import DefectStanding, KnownDefect, ReleasedRun, ReleasedSource, ReleaseFacts
from dsvc.release.json_text import Json, without_empty

_COLLECTED: Final = {
    Acquisition.OPEN_DATASET: "Secondary Data analysis",
    Acquisition.CRAWL: "Web Scraping",
    Acquisition.API: "Web API",
    Acquisition.SENSOR: "Direct measurement",
    Acquisition.USER_INPUT: "User-generated content data",
    Acquisition.ANNOTATION_OUTPUT: "Manual Human Curator",
}
"""In the words that the RAI vocabulary recommends; of all others ``Others``."""
_LABELLING: Final = frozenset({RunKind.LABEL, RunKind.REVIEW})
_PERSONAL: Final = ("contains_pi", "sensitive_pi", "data_subject_category", "deidentification")


def provenance(facts: ReleaseFacts) -> Json:
    """Name sources as what the data derive from, and runs as what generated them."""
    return without_empty(
        {
            "prov:wasDerivedFrom": [_source(each) for each in facts.lineage.sources],
            "prov:wasGeneratedBy": [_run(each) for each in facts.lineage.runs],
        }
    )


def _source(source: ReleasedSource) -> Json:
    return without_empty(
        {
            "@id": f"dsvc:source/{quote(source.id, safe='')}",
            "@type": "prov:Entity",
            "name": source.title,
            "license": source.licence,
            "url": next(iter(source.texts("url")), None),
            "identifier": source.id,
        }
    )


def _run(run: ReleasedRun) -> Json:
    return without_empty(
        {
            "@id": f"dsvc:run/{run.id}",
            "@type": "prov:Activity",
            "name": run.name,
            "description": run.manual or " ".join(run.command),
            "prov:startedAtTime": run.started_at,
            "prov:endedAtTime": run.ended_at,
        }
    )


def responsible_ai(facts: ReleaseFacts) -> Json:
    """Fill the RAI vocabulary as far as the facts go."""
    sources, runs = facts.lineage.sources, facts.lineage.runs
    labelling = [run for run in runs if run.kind in _LABELLING]
    dates = sorted(
        date for each in sources for field in ("collected_from", "collected_to") for date in each.texts(field)
    )
    return without_empty(
        {
            "rai:dataCollection": "\n".join(
                f"{each.title}: {each.acquisition}, by {each.legal_basis}" for each in sources
            ),
            "rai:dataCollectionType": _once(_COLLECTED.get(each.acquisition, "Others") for each in sources),
            "rai:dataCollectionRawData": "\n".join(_stated(sources, ("description",))),
            "rai:dataCollectionTimeFrame": list(dict.fromkeys([*dates[:1], *dates[-1:]])),
            "rai:dataPreprocessingProtocol": [_step(run) for run in runs if run.kind not in _LABELLING],
            "rai:dataAnnotationProtocol": [_step(run) for run in labelling],
            "rai:dataAnnotationPlatform": _once(
                run.facts["tool"] for run in labelling if run.facts.get("tool")
            ),
            "rai:dataLimitations": [
                _limitation(each) for each in facts.defects if each.standing is not DefectStanding.CLOSED
            ],
            "rai:dataUseCases": _once(text for each in sources for text in each.texts("purposes_allowed")),
            "rai:personalSensitiveInformation": _stated(sources, _PERSONAL),
            "rai:dataReleaseMaintenancePlan": facts.contact and f"Contact: {facts.contact}",
        }
    )


def _limitation(defect: KnownDefect) -> str:
    where = display_path(defect.path)
    return f"{defect.severity} {defect.symptom} ({defect.standing}): {defect.rows} rows of {where}"


def _once(texts: Iterable[str]) -> list[str]:
    return sorted(set(texts))


def _stated(sources: Iterable[ReleasedSource], fields: Iterable[str]) -> list[str]:
    names = tuple(fields)
    return [
        f"{source.title}: {field} {', '.join(source.texts(field))}"
        for source in sources
        for field in names
        if source.texts(field)
    ]


def _step(run: ReleasedRun) -> str:
    done = run.manual or " ".join(run.command)
    counts = ", ".join(f"{count} {fate}" for fate, count in run.rows.items() if count)
    return f"{run.name} ({run.kind}): {done}" + (f"; rows: {counts}" if counts else "")
