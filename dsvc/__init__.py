"""dsvc: dataset version control with lineage, policy and feedback.

`Repository` is the Python API; its verbs are those of the command line and return values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["DsvcError", "Repository", "__version__"]

if TYPE_CHECKING:
    from dsvc.model.errors import DsvcError
    from dsvc.porcelain.repository import Repository


def __getattr__(name: str) -> object:
    """Import the public names on first use, so that ``import dsvc`` stays light."""
    if name == "Repository":
        from dsvc.porcelain.repository import Repository

        return Repository
    if name == "DsvcError":
        from dsvc.model.errors import DsvcError

        return DsvcError
    raise AttributeError(f"module 'dsvc' has no attribute {name!r}")
