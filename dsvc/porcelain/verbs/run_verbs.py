"""Verbs on runs: what made which data from which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.lineage.run_tree import RunTree
    from dsvc.porcelain.runs.rerun import Carrier, NotRerun, RerunResult
    from dsvc.porcelain.runs.run_spec import RunSpec
    from dsvc.porcelain.runs.run_storage import RunResult
    from dsvc.porcelain.runs.stale import StaleFile
    from dsvc.porcelain.runs.step import Step
    from dsvc.porcelain.runs.step_spec import PathsGiven, StepOptions
    from dsvc.porcelain.runs.transform import Transform


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
        """Carry a command out and record it; see `run.run`."""
        from dsvc.porcelain.runs.run import run

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
        """Record what was done without dsvc; see `run.run_manual`."""
        from dsvc.porcelain.runs.run import run_manual

        return run_manual(self, spec, text, environ=environ)

    def runs(self, rev: str | None = None) -> list[RunTree]:
        """Runs that a revision's files descend from, those that wait for a commit last.

        Parameters
        ----------
        rev : str or None
            None is HEAD and what waits for a commit.
        """
        from dsvc.porcelain.runs.known_run import runs_of

        return runs_of(self, rev)

    def load_run(self, text: str) -> RunTree:
        """Find a run by id, the beginning of one, or name; see `known_run.find_run`."""
        from dsvc.porcelain.runs.known_run import find_run

        return find_run(self, text)

    def rerun(self, text: str, how: Carrier, *, check: bool = False) -> RerunResult:
        """Do a run again; with `check` in a scratch folder only.

        See `rerun.rerun` and `rerun.check_rerun`.
        """
        from dsvc.porcelain.runs.rerun import check_rerun, rerun

        return (check_rerun if check else rerun)(self, self.load_run(text), how)

    def rerun_stale(self, how: Carrier, targets: Sequence[bytes] = ()) -> Iterator[RerunResult | NotRerun]:
        """Do again what is behind its inputs; see `rerun.rerun_stale`."""
        from dsvc.porcelain.runs.rerun import rerun_stale

        return rerun_stale(self, how, targets)

    def stale(self, paths: Sequence[bytes] = ()) -> list[StaleFile]:
        """Files that are behind what they were made from; see `stale.stale`."""
        from dsvc.porcelain.runs.stale import stale

        return stale(self, paths)

    def transform(
        self,
        name: str,
        *,
        inputs: PathsGiven = (),
        outputs: PathsGiven = (),
        environ: Mapping[str, str] | None = None,
        **spec: Unpack[StepOptions],
    ) -> Transform:
        """Begin a step in Python, for a ``with`` block: the run is recorded when it is left.

        Parameters
        ----------
        name : str
            Of the step.
        inputs, outputs : path or sequence of paths
            What it reads and makes; outputs that it writes through the object need not be named.
        environ : mapping of str to str or None
            Variables, of which those that may change what the code does are recorded.
        **spec
            See `step_spec.step_spec`.
        """
        import inspect

        from dsvc.porcelain.runs.step_spec import StepCode, code_of, step_spec
        from dsvc.porcelain.runs.transform import Transform

        here = inspect.currentframe()
        caller = here.f_back if here is not None else None
        code = StepCode() if caller is None else code_of(self, caller.f_code)
        return Transform(self, step_spec(self, name, inputs=inputs, outputs=outputs, **spec), code, environ)

    def step(
        self,
        name: str,
        *,
        inputs: PathsGiven = (),
        outputs: PathsGiven = (),
        as_: str = "arrow",
        environ: Mapping[str, str] | None = None,
        **spec: Unpack[StepOptions],
    ) -> Callable[[Callable[..., Any]], Step]:
        """Make a function over tables a step, as a decorator: each call is a run; see `runs.step`.

        Parameters
        ----------
        as_ : str
            How tables come: ``"arrow"``, ``"pandas"``, ``"polars"``, ``"duckdb"`` or ``"dataset"``.

        Others are those of `transform`.
        """
        from dsvc.porcelain.runs.step import Step
        from dsvc.porcelain.runs.step_spec import step_spec

        run = step_spec(self, name, inputs=inputs, outputs=outputs, **spec)
        return lambda function: Step(self, function, run, as_=as_, environ=environ)
