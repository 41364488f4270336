"""A function over tables as a step: each call is a run, recorded with the function's own source."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from dsvc.model.errors import UsageError
from dsvc.model.paths import display_path
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.porcelain.runs.step_spec import StepCode, code_of, text_of, tree_path
from dsvc.porcelain.runs.transform import Transform
from dsvc.porcelain.state.workspace import Workspace
from dsvc.table.exchange.frames import FrameKind

if TYPE_CHECKING:
    from dsvc.porcelain.runs.run_storage import RunResult


class Step:
    """A function that is a step; made by `dsvc.Repository.step`.

    It is called with a frame for each input and lookup, in the order in which they are named (the path, where
    an input is no table), and then with what the caller gives, which is recorded as parameters. It returns a
    frame for the output; for several outputs a mapping of path to frame, or as many frames in order; None
    where it wrote them itself.

    Parameters
    ----------
    repo : Workspace
    function : callable
    spec : RunSpec
        What each call is.
    as_ : FrameKind or str
        How tables come.
    environ : mapping of str to str or None
        As `Transform` takes it.

    Attributes
    ----------
    function : callable
        The function itself, for calling it without a record.
    """

    def __init__(
        self,
        repo: Workspace,
        function: Callable[..., Any],
        spec: RunSpec,
        *,
        as_: FrameKind | str,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._repo = repo
        self.function = function
        self.spec = spec
        self._as = as_
        self._environ = environ
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any, **options: Any) -> RunResult:
        """Carry the step out and record it; returns the run.

        Raises
        ------
        UsageError
            If it returns what doesn't fit its outputs.
        """
        spec = msgspec.structs.replace(
            self.spec, parameters={**self.spec.parameters, **self._given(arguments, options)}
        )
        with Transform(self._repo, spec, self._code(), self._environ) as t:
            frames = [self._frame(t, path) for path in (*spec.inputs, *spec.lookups)]
            made = self.function(*frames, *arguments, **options)
            for path, frame in self._outputs(made):
                t.write(path, frame)
        return t.result

    def _frame(self, t: Transform, path: bytes) -> Any:
        return t.read(path, as_=self._as) if t.is_table(path) else t.path(path)

    def _given(self, arguments: Sequence[Any], options: Mapping[str, Any]) -> dict[str, str]:
        """Parameters of a call, those that the function's own defaults give as well."""
        count = len(self.spec.inputs) + len(self.spec.lookups)
        bound = inspect.signature(self.function).bind(*[None] * count, *arguments, **options)
        bound.apply_defaults()
        return {name: text_of(value) for name, value in [*bound.arguments.items()][count:]}

    def _code(self) -> StepCode:
        function = inspect.unwrap(self.function)
        try:
            source = inspect.getsource(function)
        except (OSError, TypeError):
            source = ""  # typed at a prompt that keeps nothing
        code = getattr(function, "__code__", None)
        return StepCode((), source.encode()) if code is None else code_of(self._repo, code, source)

    def _outputs(self, made: Any) -> list[tuple[bytes, Any]]:
        names = list(self.spec.outputs)
        if made is None:
            return []
        if isinstance(made, Mapping):
            found = {tree_path(path, self._repo.root): frame for path, frame in made.items()}
            strange = next((path for path in found if path not in names), None)
            if strange is not None:
                raise UsageError(f"{display_path(strange)} is no output of {self.spec.name}")
            return list(found.items())
        frames = list(made) if isinstance(made, tuple) else [made]
        if len(frames) != len(names):
            raise UsageError(
                f"{self.spec.name} returned {len(frames)} tables for {len(names)} outputs",
                hint="return a mapping of path to table, or as many as there are outputs",
            )
        return list(zip(names, frames, strict=True))


__all__ = ["Step"]
