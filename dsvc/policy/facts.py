"""Facts that the history keeps and rules look at: evaluations, defects, releases, waivers, the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Evaluation(NamedTuple):
    """A pilot evaluation of a content.

    Attributes
    ----------
    id : str
    kind : str
        ``training``, ``finetuning`` or ``inference``; empty where it doesn't say.
    version : bytes
        Root of the manifest that was evaluated.
    outcome : str
        ``passed``, ``failed`` or ``unknown``.
    problem : str or None
        Why it can't be told what it says, of which version, and of which kind.
    """

    id: str
    kind: str
    version: bytes
    outcome: str
    problem: str | None = None


class Defect(NamedTuple):
    """A defect that ever was of the severity that blocks, and whose artifact is in the judged version.

    Attributes
    ----------
    id : str
    severity : str
        ``P1`` (blocking), ``P2`` or ``P3``.
    status : str
        ``open``, ``confirmed``, ``repairing``, ``verified``, ``rejected`` or ``reopened``.
    path : bytes
        The artifact with the bad rows.
    worst : str
        The worst severity that it ever had; empty: the one that it has.
    digest : bytes
        Of its rows and of what was decided about them: a waiver is for these.
    back : int
        Rows that a verified repair changed or took out, and that are in the version as they were before.
    problem : str or None
        Why it can't be told how it stands.
    """

    id: str
    severity: str
    status: str
    path: bytes
    worst: str = ""
    digest: bytes = b""
    back: int = 0
    problem: str | None = None


class QualityChange(NamedTuple):
    """A metric of the release before, and of this version.

    Shares and percent are both on a scale of 1, everything else is as it was measured.

    Attributes
    ----------
    name : str
        With suite, part of it and slice.
    before, after : float or None
        None where the release before, or this version, has no such metric, or several that differ.
    low, high : float or None
        95% interval of the second less the first.
    higher_is_better : bool or None
        None where nothing says.
    release : str
        The release before.
    """

    name: str
    before: float | None
    after: float | None
    low: float | None = None
    high: float | None = None
    higher_is_better: bool | None = None
    release: str = ""


class Announcement(NamedTuple):
    """A release that is announced and not given out yet.

    Attributes
    ----------
    release : str
    since : str
        Day on which it was announced, ``YYYY-MM-DD``.
    until : str or None
        Last day on which people can object.
    problem : str or None
        Why it can't be told how it stands.
    """

    release: str
    since: str = ""
    until: str | None = None
    problem: str | None = None


class WaiverFacts(NamedTuple):
    """A waiver, and whether it counts.

    Attributes
    ----------
    id : str
    rule : str
    subject : bytes
    standing : str
        ``counts``, or why it doesn't.
    """

    id: str
    rule: str
    subject: bytes
    standing: str


class AuditFacts(NamedTuple):
    """What the log of ref moves says.

    Attributes
    ----------
    unlogged : tuple of str
        Refs that are not where the log left them.
    bad_signatures : tuple of str
        Commits whose signature is wrong.
    """

    unlogged: tuple[str, ...] = ()
    bad_signatures: tuple[str, ...] = ()


class WordListFacts(NamedTuple):
    """What is known of the list of sensitive words.

    Attributes
    ----------
    version : str
    updated : str or None
        When it was brought up to date, ``YYYY-MM-DD``; None: it doesn't say.
    words : int
    risks : mapping of str to int
        Words of each risk.
    """

    version: str
    updated: str | None
    words: int
    risks: Mapping[str, int]
