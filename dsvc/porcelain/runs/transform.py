"""Steps in Python, recorded as runs: tables come with row ids, which tell afterwards what became of each row.

::

    with repo.transform("dedup", inputs=["raw.csv"]) as t:
        table = t.read("raw.csv", as_="pandas")
        t.write("clean.csv", table.drop_duplicates("text"))
    print(t.result.run.rows)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from dsvc.lineage.carried_tables import CarriedTables, PathLike
from dsvc.lineage.declared_maps import RowMapError
from dsvc.model.errors import UsageError
from dsvc.model.paths import display_path, is_within
from dsvc.model.run_record import Role
from dsvc.porcelain.runs.run_code import code_state
from dsvc.porcelain.runs.run_environment import current_environment
from dsvc.porcelain.runs.run_recording import Recording
from dsvc.porcelain.runs.run_spec import RunSpec, check_spec
from dsvc.porcelain.runs.step_spec import StepCode
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_source import StoredSource, not_a_table, recognise_entry

if TYPE_CHECKING:
    from dsvc.model.manifest import Entry
    from dsvc.porcelain.runs.run_storage import Captured, RunResult
    from dsvc.table.reading.arrow_reader import ArrowTable


class Transform(CarriedTables):
    """A step in Python that is going on; made by `dsvc.Repository.transform`.

    When the ``with`` block is left, the run is recorded and waits for a commit, as with `Repository.run`. An
    error records nothing; files that were written stay.

    Parameters
    ----------
    repo : Workspace
    spec : RunSpec
        What it shall be; outputs that it writes are added.
    code : StepCode
        Where its code is.
    environ : mapping of str to str
        Variables, of which those that may change what the code does are recorded.
    """

    _keeps_inputs = True

    def __init__(
        self, repo: Workspace, spec: RunSpec, code: StepCode, environ: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._repo = repo
        self.spec = spec
        self._code = code
        self._environ = environ or {}
        self._recording: Recording | None = None
        self._result: RunResult | None = None
        self._made: dict[bytes, None] = {}

    @property
    def result(self) -> RunResult:
        """The run, once the block is left.

        Raises
        ------
        UsageError
            Before that, and where an error ended it.
        """
        if self._result is None:
            raise UsageError("the run is not recorded", hint="its result is there when the block is left")
        return self._result

    def path(self, path: PathLike) -> str:
        """Where a file of the working tree is, for code that reads or writes it itself.

        What is no input counts as an output.
        """
        name = self._path(path)
        if name not in (*self.spec.inputs, *self.spec.lookups):
            self._made[name] = None
        return self._place(name)

    def is_table(self, path: PathLike) -> bool:
        """Whether an input is a table, so that `read` reads it."""
        found = self._find(self._path(path))
        return found is not None and recognise_entry(self._repo, found[0]) is not None

    def write(self, path: PathLike, frame: Any) -> int:
        """Write a table; see `CarriedTables.write`."""
        rows = super().write(path, frame)
        self._made[self._path(path)] = None
        return rows

    def __enter__(self) -> Self:
        """Store what is read, as it is now."""
        # Outputs may come up later; until then the whole tree stands for them where the rest is checked.
        check_spec(msgspec.structs.replace(self.spec, outputs=self.spec.outputs or (b"",)))
        self._recording = Recording(self._repo, self.spec)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record the run, or nothing where an error ends it."""
        recording = self._running()
        self._recording = None
        with recording:
            if kind is None:
                self._result = self._finish(recording)

    def _finish(self, recording: Recording) -> RunResult:
        spec = self.spec
        made = [path for path in self._made if not is_within(path, spec.outputs)]
        recording.spec = msgspec.structs.replace(spec, outputs=[*spec.outputs, *made])
        check_spec(recording.spec)
        data = [*spec.inputs, *spec.lookups, *recording.spec.outputs]
        return recording.finish(
            code=code_state(
                self._repo,
                (),
                data=data,
                environ=self._environ,
                files=self._code.files,
                source=self._code.source,
            ),
            environment=current_environment(self._environ),
            declared=self.declared(),
            check=self._check,
        )

    def _check(self, captured: Captured) -> None:
        """Refuse where a file holds other rows than were written: its links would be of others."""
        for output in captured.run.outputs:
            rows = self._rows.get(output.path)
            if rows is not None and output.path in self._links and output.records != rows:
                raise RowMapError(
                    f"{display_path(output.path)} has {output.records} rows, and {rows} were written",
                    hint="nothing else may write it in this step",
                    details={"path": display_path(output.path)},
                )

    # What tables are read and written by

    def _running(self) -> Recording:
        if self._recording is None:
            raise UsageError("the step is not going on", hint="use it in: with repo.transform(…) as t:")
        return self._recording

    def _open(self, path: bytes) -> tuple[ArrowTable, bool]:
        from dsvc.table.reading.arrow_reader import open_arrow

        entry, followed = self._input(path)
        kind = recognise_entry(self._repo, entry)
        if kind is None:
            raise not_a_table(entry)
        return open_arrow(StoredSource(self._repo, entry), kind, skip_malformed=True), followed

    def _input(self, path: bytes) -> tuple[Entry, bool]:
        found = self._find(path)
        if found is not None:
            return found
        known = ", ".join(display_path(each) for each in (*self.spec.inputs, *self.spec.lookups))
        raise UsageError(
            f"{display_path(path)} is no input of {self.spec.name}",
            hint=f"inputs are named before: inputs=[…]; now they are: {known or 'none'}",
            details={"path": display_path(path)},
        )

    def _find(self, path: bytes) -> tuple[Entry, bool] | None:
        """Version of an input that the run reads, and whether its rows are followed."""
        for artifact in self._running().inputs:
            for entry in artifact.entries:
                if entry.path == path:
                    return entry, artifact.role is Role.INPUT and not artifact.folder
        return None

    def _place(self, path: bytes) -> str:
        self._running()
        return os.path.join(self._repo.root, os.fsdecode(path))

    @property
    def _root(self) -> str:
        return self._repo.root

    @property
    def _temporary(self) -> str:
        return self._repo.layout.temporary

    @property
    def _durable(self) -> bool:
        return self._repo.keeps_content


__all__ = ["Transform"]
