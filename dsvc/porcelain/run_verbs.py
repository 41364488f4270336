"""Verbs on runs: what made which data from which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dsvc.porcelain.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.lineage.run_tree import RunTree
    from dsvc.porcelain.run_spec import RunSpec
    from dsvc.porcelain.run_storage import RunResult


class RunVerbs(Workspace):
    """The part of `dsvc.Repository` that knows runs."""

    def run(
        self,
        spec: RunSpec,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        folder: bytes = b"",
        timeout: float | None = None,
        output: int | None = None,
        interactive: bool = False,
    ) -> RunResult:
        """Carry a command out and record it; see `dsvc.porcelain.run.run`."""
        from dsvc.porcelain.run import run

        return run(
            self,
            spec,
            command,
            environ=environ,
            folder=folder,
            timeout=timeout,
            output=output,
            interactive=interactive,
        )

    def run_manual(self, spec: RunSpec, text: str, *, environ: Mapping[str, str] | None = None) -> RunResult:
        """Record what was done without dsvc; see `dsvc.porcelain.run.run_manual`."""
        from dsvc.porcelain.run import run_manual

        return run_manual(self, spec, text, environ=environ)

    def runs(self, rev: str | None = None) -> list[RunTree]:
        """Runs that a revision's files descend from, those that wait for a commit last.

        Parameters
        ----------
        rev : str or None
            None is HEAD and what waits for a commit.
        """
        from dsvc.porcelain.known_run import runs_of

        return runs_of(self, rev)

    def load_run(self, text: str) -> RunTree:
        """Find a run by id, the beginning of one, or name; see `dsvc.porcelain.known_run.find_run`."""
        from dsvc.porcelain.known_run import find_run

        return find_run(self, text)
