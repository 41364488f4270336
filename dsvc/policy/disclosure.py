"""What must be disclosed of sources, and which fields of their records it comes from.

The twelve items are those of California's AB 2013 (Civil Code 3111), the sections those of the template of
the AI Act's article 53(1)(d).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from dsvc.policy.source_facts import SourceFacts

Derive = Callable[[SourceFacts], bool]


class Item(NamedTuple):
    """Something that must be disclosed.

    Attributes
    ----------
    name : str
        As in ``AB 2013 (7)``.
    what : str
    fields : tuple of str
        Fields that it comes from: one is enough.
    derive : callable or None
        Another way to know it.
    """

    name: str
    what: str
    fields: tuple[str, ...]
    derive: Derive | None = None

    def is_known(self, facts: SourceFacts) -> bool:
        """Whether it can be derived from what a source states."""
        known = any(facts.text(name) is not None or facts.texts(name) for name in self.fields)
        return known or (self.derive is not None and self.derive(facts))


def _licensed(facts: SourceFacts) -> bool:
    record = facts.record
    return not facts.is_open("license_expression") and record.license_expression != "undetermined"


def _based(facts: SourceFacts) -> bool:
    return not facts.is_open("legal_basis") and facts.record.legal_basis != "undetermined"


def _has_files(facts: SourceFacts) -> bool:
    return facts.tree.files.totals()[0] > 0


def _described(facts: SourceFacts) -> bool:
    return bool(facts.record.title.strip())


def _synthetic(facts: SourceFacts) -> bool:
    return facts.record.acquisition == "synthetic"


EVERY: Final = (
    Item("AB 2013 (1)", "who owns it", ("rightsholders", "issuer", "origin_org", "supplier")),
    Item("AB 2013 (2)", "how it furthers the purpose", ("description", "purposes_allowed")),
    Item("AB 2013 (3)", "how many data points it has", ("records",), _has_files),
    Item("AB 2013 (4)", "which types of data it has", ("modality",)),
    Item("AB 2013 (5)", "whether copyright, trademark or patent protects it", ("ip_flags",), _licensed),
    Item("AB 2013 (6)", "whether it was bought or licensed", ("purchase",), _based),
    Item("AB 2013 (7)", "whether it has personal information", ("contains_pi",)),
    Item("AB 2013 (8)", "whether it has aggregate consumer information", ("aggregate_consumer_info",)),
    Item("AB 2013 (9)", "what was done to it", (), _described),
    Item("AB 2013 (10)", "when it was collected", ("collected_from", "obtained_at", "issue_date")),
    Item("AB 2013 (11)", "when it was first used", ("first_used",)),
    Item("AB 2013 (12)", "whether it is synthetic", ("synthetic",), _synthetic),
    Item("contact", "who answers for it", ("responsible_person",)),
)
"""What is asked of every source; item 9 is told by the runs of the lineage."""
_LICENSED: Final = (Item("EU 2.2", "from whom it was licensed", ("supplier", "issuer", "rightsholders")),)
_OTHER: Final = (Item("EU 2.6", "what it is", ("description",)),)
BY_ACQUISITION: Final[Mapping[str, tuple[Item, ...]]] = MappingProxyType(
    {
        "open_dataset": (Item("EU 2.1", "where it can be found", ("url",)),),
        "purchase": _LICENSED,
        "bulk": _LICENSED,
        "api": (Item("EU 2.3", "which service it came from", ("endpoint", "url")),),
        "crawl": (
            Item("EU 2.3", "which crawler fetched it", ("crawler", "user_agent")),
            Item("EU 2.3", "which domains it came from", ("domains",)),
            Item("EU 2.3", "when the crawl ended", ("collected_to",)),
            Item("EU 3.1", "whether rights were reserved", ("tdm_reservation",)),
            Item("EU 3.1", "what robots.txt said", ("robots_verdict",)),
        ),
        "user_input": (Item("EU 2.4", "whose data it is", ("data_subject_category",)),),
        "synthetic": (Item("EU 2.5", "which model made it", ("generator",)),),
    }
)
"""What is asked of sources by how they were acquired; of all others `_OTHER`."""


def items_of(acquisition: str) -> tuple[Item, ...]:
    """List all that must be disclosed of a source."""
    return (*EVERY, *BY_ACQUISITION.get(acquisition, _OTHER))
