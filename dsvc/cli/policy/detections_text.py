"""What detectors said when files were committed; `add_detections` makes it a verb of a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import complete_refs
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import path_fields, show_digest, show_line, show_name

if TYPE_CHECKING:
    from dsvc.cli.frame.verb_group import VerbGroup
    from dsvc.model.detection import Detection
    from dsvc.porcelain.policy.recorded_detections import RecordedRun

_SHOWN: Final = 20


def add_detections(group: VerbGroup) -> None:
    """Take the verb ``detections`` into a group."""

    @group.verb(
        "detections",
        _("Show what detectors said of files when they were committed"),
        _("With --repeat they look again; exits with 1 where they say something else."),
    )
    @click.argument("rev", required=False, metavar="[REV]", shell_complete=complete_refs)
    @click.option("--repeat", is_flag=True, help=_("look again, and compare"))
    def detections(session: Session, rev: str | None, repeat: bool) -> int:
        from dsvc.porcelain.policy.recorded_detections import Repeated, recorded_detections, repeat_detections

        repo = session.repository()
        found = repeat_detections(repo, rev) if repeat else recorded_detections(repo, rev)
        is_same = True
        with session.paged():
            for recorded in found:
                _show(session, recorded)
                is_same = is_same and recorded.repeated is not Repeated.DIFFERENT
        return int(not is_same)


def _show(session: Session, recorded: RecordedRun) -> None:
    run, output = recorded.run, session.output
    output.json(_fields(recorded))
    total = len(run.clean) + len(run.found)
    files = ngettext("{n} file", "{n} files", total)
    text = _("{files}, {n} of them clean").format(files=files, n=f"{len(run.clean):,}")
    again = "" if recorded.repeated is None else f"; {_word(recorded)}"
    output.answer(f"{output.style(run.detector, 'heading')} {show_line(run.version)}: {text}{again}")
    for path, _digest, detection in run.found[:_SHOWN]:
        output.answer(f"  {show_name(path)}: {show_line(_said(detection))}")
    if len(run.found) > _SHOWN:
        output.answer("  " + _("and {n} more").format(n=len(run.found) - _SHOWN))
    for path in recorded.differing[:_SHOWN]:
        output.answer("  " + _("{path}: it says something else now").format(path=show_name(path)))


def _word(recorded: RecordedRun) -> str:
    from dsvc.porcelain.policy.recorded_detections import Repeated

    words = {
        Repeated.IDENTICAL: _("looked at again: the same"),
        Repeated.DIFFERENT: _("looked at again: it says something else"),
        Repeated.OTHER_VERSION: _("the detector is another version now"),
        Repeated.NO_FILES: _("none of the files is in this version"),
    }
    assert recorded.repeated is not None
    return words[recorded.repeated]


def _said(detection: Detection) -> str:
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(detection.counts.items()))
    return " ".join(each for each in (detection.status.value, counts, detection.reason) if each)


def _fields(recorded: RecordedRun) -> dict[str, Any]:
    run = recorded.run
    return {
        "detector": run.detector,
        "version": run.version,
        "config": run.config,
        "clean": len(run.clean),
        "found": [
            {
                **path_fields(path),
                "digest": show_digest(digest),
                "status": each.status.value,
                "counts": dict(sorted(each.counts.items())),
                "reason": each.reason,
            }
            for path, digest, each in run.found
        ],
        "repeated": None if recorded.repeated is None else recorded.repeated.value,
        "differing": [path_fields(path) for path in recorded.differing],
    }
