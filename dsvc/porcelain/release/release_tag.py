"""The tag of a release: an annotated one whose message says, by digests, all that the release rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from blake3 import blake3

from dsvc.history.git_object import parse_tag, split_tag_signature
from dsvc.history.ref_name import tag_ref
from dsvc.history.trailers import clean_text
from dsvc.model.ids import CommitId
from dsvc.porcelain.policy.signed_commits import CommitSignature, SignatureReader
from dsvc.porcelain.records.release_chain import DOCUMENTS
from dsvc.porcelain.state.workspace import Workspace
from dsvc.release.facts import DefectStanding, ReleaseFacts
from dsvc.release.facts_codec import facts_digest

_KEY: Final = "Dsvc-"


def tag_text(facts: ReleaseFacts, parts: Mapping[bytes, bytes], signer: str | None = None) -> str:
    """Write the message of a release's tag; the same facts give the same text.

    Parameters
    ----------
    parts : mapping of bytes to bytes
        Its documents, by their paths in the chain.
    signer : str or None
        Fingerprint of the key that signs the tag, so that nobody can take the signature away unseen.

    Raises
    ------
    FactsMalformedError
        If the facts are not such as can be kept.
    """
    title = _line(facts.title)
    lines = [f"release {facts.name}", ""]
    lines += [title, ""] if title else []
    fields = [*_fields(facts, parts), *([("Signer", signer)] if signer is not None else [])]
    lines += [f"{_KEY}{key}: {_line(value)}" for key, value in fields]
    return "\n".join(lines)


def _line(text: str) -> str:
    """Make one line of a text: none of what others wrote begins a line of its own."""
    return " ".join(text.split())


def _fields(facts: ReleaseFacts, parts: Mapping[bytes, bytes]) -> Iterator[tuple[str, str]]:
    verdict, lineage = facts.verdict, facts.lineage
    yield "Manifest", facts.manifest
    yield "Verdict", f"{verdict.outcome} {verdict.digest}"
    for pack in verdict.packs:
        yield "Pack", f"{pack.name} {pack.digest}"
    yield "Lineage", lineage.digest
    yield "Facts", facts_digest(facts)
    for path in DOCUMENTS:
        yield "Document", f"{path.decode()} {blake3(parts[path]).hexdigest()}"
    for each in facts.evaluations:
        yield "Evaluation", f"{each.feedback} {each.outcome or 'unknown'} {each.suite}"
    for defect in facts.defects:
        if defect.standing is not DefectStanding.CLOSED:
            waiver = f" by {defect.waiver}" if defect.waiver else ""
            yield "Defect", f"{defect.id} {defect.severity} {defect.standing}{waiver}"
    counts = {
        "files": len(facts.files),
        "bytes": facts.size,
        "rows": facts.rows,
        "runs": len(lineage.runs),
        "sources": len(lineage.sources),
        "dropped": facts.drops.rows,
        "unspecified": facts.drops.unspecified,
    }
    yield "Counts", " ".join(f"{name}={count}" for name, count in counts.items())


class ReleaseTag:
    """The tag of a release as it stands in the history.

    Parameters
    ----------
    repo : Workspace
    name : str
        Of the release.

    Attributes
    ----------
    id : CommitId or None
        None where there is no such tag.
    target : CommitId or None
        What it names.
    text : str or None
        Its message without a signature; None where it is no annotated tag.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If it can't be read.
    """

    def __init__(self, repo: Workspace, name: str) -> None:
        self._repo = repo
        self.id: CommitId | None = repo.history.refs.get(tag_ref(name))
        self.target: CommitId | None = None
        self.text: str | None = None
        self._data = b""
        if self.id is None:
            return
        kind, data = repo.history.odb.read(self.id)
        self.target = repo.history.peel(self.id)
        if kind == "tag":
            self._data = data
            self.text = clean_text(parse_tag(data).message)

    def signature(self) -> CommitSignature | None:
        """Check its signature; None where it has none. Raises as reading the history does."""
        payload, signature = split_tag_signature(self._data)
        return None if signature is None else SignatureReader(self._repo).check(signature, payload)
