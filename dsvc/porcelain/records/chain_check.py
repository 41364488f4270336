"""What checks of chains for fsck have in common: ids that can be listed, and things that can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dsvc.model.errors import DsvcError, ErasedError, MissingDataError
from dsvc.porcelain.records.operation_chain import Chains
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.defects import Defect


class ChainCheck:
    """Checks chains, and gathers what is wrong with them.

    Attributes
    ----------
    defects : list of Defect
        What was found.
    """

    def __init__(self, repo: Workspace) -> None:
        self._repo = repo
        self.defects: list[Defect] = []

    def _ids(self, chains: Chains) -> Iterator[str]:
        """Ids of chains of one kind; none where refs can't be read, which is said elsewhere."""
        try:
            yield from chains.ids(self._repo)
        except DsvcError:
            return

    def _try(self, number: str, what: str, read: Callable[[], object]) -> bool:
        """Read something; what is missing or erased is said elsewhere, anything else is a defect."""
        try:
            read()
        except (MissingDataError, ErasedError):
            return False
        except DsvcError as error:
            self.defects.append(Defect(id=number, object=what, message=error.message))
            return False
        return True
