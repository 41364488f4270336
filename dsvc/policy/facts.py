"""Facts that the history keeps and rules look at: evaluations, defects, waivers, the log of ref moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Evaluation(NamedTuple):
    """A pilot evaluation of a content.

    Attributes
    ----------
    id : str
    kind : str
        ``training``, ``finetuning`` or ``inference``.
    version : bytes
        Root of the manifest that was evaluated.
    outcome : str
        ``passed``, ``failed`` or ``unknown``.
    """

    id: str
    kind: str
    version: bytes
    outcome: str


class Defect(NamedTuple):
    """A defect that was reported.

    Attributes
    ----------
    id : str
    severity : str
        ``P1`` (blocking), ``P2`` or ``P3``.
    status : str
        ``open``, ``confirmed``, ``repairing``, ``verified``, ``rejected`` or ``reopened``.
    path : bytes
        The artifact with the bad rows.
    """

    id: str
    severity: str
    status: str
    path: bytes


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
