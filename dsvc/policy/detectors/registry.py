"""Detectors by name, made as the settings want them; a module is imported when its detector is wanted."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final, cast

from dsvc.model.errors import PolicyIncompleteError
from dsvc.policy.detectors.detector import FileDetector, SetDetector
from dsvc.policy.settings import PolicySettings

_SETS: Final = {
    "near_duplicates": "NearDuplicates",
    "label_conflicts": "LabelConflicts",
    "poisoning": "Poisoning",
}
FILE_DETECTORS: Final = ("secrets", "pii", "words", "language")
SET_DETECTORS: Final = tuple(_SETS)


class WordListMissingError(PolicyIncompleteError):
    """A rule asks for sensitive words, and there is no list of them."""

    code = "word-list-missing"


def file_detector(name: str, settings: PolicySettings, read: Callable[[str], bytes | None]) -> FileDetector:
    """Make a detector that looks at files one by one.

    Parameters
    ----------
    read : callable
        Gives the content of a path of the judged version, None where it has none.

    Raises
    ------
    WordListMissingError
        If `name` is ``words``, and the settings name no list that there is.
    UsageError
        If the list is malformed.
    """
    if name == "secrets":
        from dsvc.policy.detectors.secrets import Secrets

        return Secrets()
    if name == "pii":
        from dsvc.policy.detectors.pii import Pii

        return Pii(presidio=settings.presidio)
    if name == "language":
        from dsvc.policy.detectors.language import Language

        return Language()
    if name != "words":
        raise KeyError(name)
    from dsvc.policy.detectors.word_list import WordList
    from dsvc.policy.detectors.words import Words

    data = None if settings.words is None else read(settings.words)
    if data is None:
        raise WordListMissingError(
            "there is no list of sensitive words", hint='[policy] words = "PATH" in dsvc.toml names one'
        )
    return Words(WordList.load(data))


def set_detector(name: str) -> SetDetector:
    """Make a detector that looks at tables together."""
    module = import_module(f"dsvc.policy.detectors.{name}")
    return cast(SetDetector, getattr(module, _SETS[name])())
