"""Readers of result files by name and by content; a module is imported when it is asked."""

from __future__ import annotations

from importlib import import_module
from typing import Final, cast

from dsvc.feedback.importers.importer import HEAD_BYTES, Importer, UnknownFeedbackFormatError

_IMPORTERS: Final[dict[str, tuple[str, str]]] = {
    "lm-eval": ("lm_eval", "LmEval"),
    "inspect": ("inspect_log", "Inspect"),
    "junit": ("junit", "Junit"),
    "evidently": ("evidently", "Evidently"),
    "deepeval": ("deepeval", "Deepeval"),
    "promptfoo": ("promptfoo", "Promptfoo"),
    "mlflow": ("mlflow_feedback", "MlflowFeedback"),
    "jsonl": ("plain_jsonl", "PlainJsonl"),
    "csv": ("plain_csv", "PlainCsv"),
}
"""Module and class by name, in the order in which they are asked: what any file could be comes last."""

NAMES: Final = tuple(_IMPORTERS)


def by_name(name: str) -> Importer:
    """Give a reader.

    Raises
    ------
    UnknownFeedbackFormatError
        If there is none of that name.
    """
    if name not in _IMPORTERS:
        raise UnknownFeedbackFormatError(
            f"no format of feedback is called {name!r}", hint=f"known are {', '.join(NAMES)}"
        )
    module, of_class = _IMPORTERS[name]
    return cast(Importer, getattr(import_module(f"dsvc.feedback.importers.{module}"), of_class)())


def recognise(head: bytes, file_name: str) -> Importer:
    """Find the reader that knows a file.

    Parameters
    ----------
    head : bytes
        The beginning of the file.
    file_name : str
        Last part of its path; settles only what the content leaves open.

    Raises
    ------
    UnknownFeedbackFormatError
        If none does.
    """
    for name in NAMES:
        importer = by_name(name)
        if importer.recognises(head[:HEAD_BYTES], file_name):
            return importer
    raise UnknownFeedbackFormatError(
        f"{file_name!r} is in no format of feedback that dsvc knows by its content",
        hint=f"say which it is with --format; known are {', '.join(NAMES)}",
    )
