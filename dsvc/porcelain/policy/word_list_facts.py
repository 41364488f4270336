"""What is known of the list of sensitive words that the settings name."""

from __future__ import annotations

from dsvc.model.errors import CorruptDataError, MissingDataError
from dsvc.model.ids import NodeId
from dsvc.policy.facts import WordListFacts
from dsvc.policy.settings import PolicySettings
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.materialize import read_content


def word_list_facts(repo: Workspace, root: NodeId, settings: PolicySettings) -> WordListFacts | None:
    """Read the list in a version; None where there is none, or it can't be read as one.

    Raises
    ------
    MissingDataError, CorruptDataError
        If the manifest can't be read.
    """
    from dsvc.policy.detectors.word_list import MAX_BYTES, WordList, WordListError

    if settings.words is None:
        return None
    entry = repo.manifest(root).get(settings.words.encode())
    if entry is None or not entry.is_file or entry.size > MAX_BYTES:
        return None
    try:
        words = WordList.load(read_content(repo.store, entry))
    except (WordListError, MissingDataError, CorruptDataError):
        return None
    return WordListFacts(words.version, words.updated, len(words.words), words.counts)
