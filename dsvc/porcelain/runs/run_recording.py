"""Recording a run: what it reads is stored before, what it made after; nothing else may have moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.fs.beneath import Beneath
from dsvc.model.errors import (
    ConcurrentChangeError,
    DsvcError,
    LineageBrokenError,
    NotFoundError,
    UsageError,
)
from dsvc.model.manifest import MODE_SYMLINK, Entry
from dsvc.model.paths import display_path, is_within
from dsvc.model.run_record import Agent, Asked, Environment, Role
from dsvc.porcelain.runs.earlier_version import earlier_version
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles, artifacts_of_folder
from dsvc.porcelain.runs.run_code import NO_CODE, CodeState, store_code
from dsvc.porcelain.runs.run_files import RunFiles, Taken
from dsvc.porcelain.runs.run_rows import begin_indexing, keep_indexes
from dsvc.porcelain.runs.run_spec import RunSpec, check_spec
from dsvc.porcelain.runs.run_storage import Check, RunDraft, RunResult, store_captured
from dsvc.porcelain.state.pending_runs import add_pending, remove_pending
from dsvc.porcelain.state.redaction import redacted_mapping, redacted_words
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import held_files
from dsvc.porcelain.tree.known_files import KnownFile, remember
from dsvc.porcelain.tree.stat_cache import UNKNOWN
from dsvc.store.manifest_tree import EMPTY_ROOT

if TYPE_CHECKING:
    from dsvc.lineage.declared_maps import DeclaredMaps
    from dsvc.porcelain.tables.row_indexes import IndexesBegun


class InputChangedError(ConcurrentChangeError):
    """A file that a run reads changed while it ran; nothing was recorded."""

    code: ClassVar[str] = "input-changed"


class ChangedOutsideError(LineageBrokenError):
    """A run changed a tracked file that it does not name as an output; nothing was recorded."""

    code: ClassVar[str] = "changed-outside"


class OutputMissingError(NotFoundError):
    """A run did not make what it names as an output; nothing was recorded."""

    code: ClassVar[str] = "output-missing"


def now() -> str:
    """Time of recording: RFC 3339 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def begin_run(repo: Workspace, spec: RunSpec) -> Recording:
    """Store what a run is about to read, and note how the working tree is.

    Raises
    ------
    UsageError
        If it can be no run.
    NotFoundError
        If an input isn't there.
    UnstableFileError, StorageError
        If an input can't be read whole.
    """
    check_spec(spec)
    return Recording(repo, spec)


class Recording:
    """A run that is going on; made by `begin_run`, ended by `finish` or `cancel`.

    Attributes
    ----------
    inputs : list of ArtifactFiles
        What it reads, as it was at the beginning.
    """

    def __init__(self, repo: Workspace, spec: RunSpec) -> None:
        self._repo = repo
        self.spec = spec
        self.started = now()
        self._taken: dict[bytes, Taken] = {}
        self._held: held_files.Held | None = None
        self._begun: IndexesBegun | None = None
        with _changing(repo), Beneath(repo.root) as tree:
            files = RunFiles(repo, tree)
            self._root = files.manifest.root
            self._seen = {path: files.see(path) for path in files.differing}
            self._before = {path: files.see(path) for path in self._under_outputs(files)}
            self.inputs = [
                artifact
                for role, paths in ((Role.INPUT, spec.inputs), (Role.LOOKUP, spec.lookups))
                for path in dict.fromkeys(paths)
                for artifact in self._input(files, path, role)
            ]
            entries = {path: taken.entry for path, taken in self._taken.items()}
            root = repo.manifest(EMPTY_ROOT).update(sorted(entries.items()))
            repo.store.publish()
            self._held = held_files.hold(repo.layout, root)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up what is not finished."""
        self.cancel()

    def cancel(self) -> None:
        """Record nothing; what was stored goes with the next gc."""
        if self._begun is not None:
            self._begun.indexes.end()
            self._begun = None
        if self._held is not None:
            held_files.release(self._held)
            self._held = None

    def index_inputs(self) -> None:
        """Begin to index large inputs, beside the command that runs now; `finish` takes it up."""
        self._begun = begin_indexing(self._repo, self.inputs)

    # Before

    def _under_outputs(self, files: RunFiles) -> Iterator[bytes]:
        for path in self.spec.outputs:
            if files.is_folder(path):
                yield from files.below(path)
            else:
                yield path

    def _input(self, files: RunFiles, path: bytes, role: Role) -> list[ArtifactFiles]:
        if not files.is_folder(path):
            self._taken[path] = taken = files.take(path)
            if taken.entry.mode == MODE_SYMLINK:
                name = display_path(path)
                raise UsageError(f"{name} is a link", hint="name the file that it leads to")
            return [ArtifactFiles(path, False, (taken.entry,), role)]
        own = {each for each in (*self.spec.inputs, *self.spec.lookups) if each != path}
        # What the run makes is no input of it, unless the folder itself is what it works on.
        made = [each for each in self.spec.outputs if each != path and not is_within(path, [each])]
        found = []
        for each in files.below(path):
            if each not in own and not is_within(each, made):
                self._taken[each] = files.take(each)
                found.append(self._taken[each].entry)
        return artifacts_of_folder(path, found, role)

    # After

    def finish(
        self,
        *,
        command: Sequence[str] = (),
        folder: bytes = b"",
        manual: str | None = None,
        code: CodeState = NO_CODE,
        environment: Environment | None = None,
        exit_status: int = 0,
        declared: DeclaredMaps | None = None,
        started: str | None = None,
        ended: str | None = None,
        check: Check | None = None,
    ) -> RunResult:
        """Record the run: it waits for a commit then.

        Parameters
        ----------
        command : sequence of str
            What ran; secrets in it are taken out.
        folder : bytes
            Where it ran, relative to the working tree.
        manual : str or None
            What a person or another tool did before; outputs are what is there.
        code : CodeState
            With which code.
        environment : Environment or None
            Where it ran.
        declared : DeclaredMaps or None
            What the step says of its rows.
        started, ended : str or None
            When it began and ended, by `now`; else when the recording began, and now.
        check : callable or None
            See `store_captured`.

        Raises
        ------
        InputChangedError, ChangedOutsideError, OutputMissingError
            If what happened is not what the run said it would do.
        RowMapError
            If declared maps don't fit.
        """
        draft = self._draft(
            command=redacted_words(command),
            asked=self._asked(folder),
            manual=manual,
            code=code.code,
            environment=environment or Environment(),
            exit_status=exit_status,
            started_at=started or self.started,
            ended_at=ended or now(),
        )
        try:
            with _changing(self._repo), Beneath(self._repo.root) as tree:
                return self._record(RunFiles(self._repo, tree), draft, code, declared, check)
        finally:
            self.cancel()

    def _record(
        self,
        files: RunFiles,
        draft: RunDraft,
        code: CodeState,
        declared: DeclaredMaps | None,
        check: Check | None,
    ) -> RunResult:
        """Check what happened and store it; the caller holds the locks."""
        repo, spec = self._repo, self.spec
        self._check_inputs(files)
        self._check_outside(files)
        outputs, taken = self._outputs(files, everything=draft.manual is not None)
        inputs = self.inputs if draft.manual is None else self._versions_before(outputs)
        if self._begun is not None:
            keep_indexes(repo, self._begun)
        result = store_captured(
            repo,
            draft,
            inputs,
            outputs,
            keys=spec.keys,
            renamed=spec.renamed,
            declared=declared,
            drop_reason=spec.drop_reason,
            code_files=store_code(repo, code),
            patch=code.patch,
            check=check,
        )
        note_pending(repo, result)
        remember(repo.layout.cache, {path: KnownFile(t.stat, t.entry) for path, t in taken.items()})
        return result

    def _draft(self, **known: Any) -> RunDraft:
        spec, who = self.spec, self._repo.signature()
        return RunDraft(
            name=spec.name,
            kind=spec.kind,
            agent=Agent(who.name, who.email),
            parameters=redacted_mapping(spec.parameters),
            facts=spec.facts,
            seed=spec.seed,
            rowwise=spec.rowwise,
            grade=spec.grade,
            declassified=spec.declassified,
            **known,
        )

    def _asked(self, folder: bytes) -> Asked:
        spec = self.spec
        return Asked(
            inputs=tuple(spec.inputs),
            lookups=tuple(spec.lookups),
            outputs=tuple(spec.outputs),
            keys=tuple(sorted(spec.keys.items(), key=lambda item: item[0] or b"")),
            renamed=spec.renamed,
            drop_reason=spec.drop_reason,
            folder=folder,
        )

    def _check_inputs(self, files: RunFiles) -> None:
        for path, taken in self._taken.items():
            if is_within(path, self.spec.outputs):
                continue
            stat = files.stat(path)
            if stat is not None and stat == taken.stat != UNKNOWN:
                continue
            if stat is None or files.content(path) != taken.entry.digest:
                raise InputChangedError(
                    f"{display_path(path)} changed while the run was going on; nothing was recorded",
                    hint="run it again; a file that the run changes itself is named with -o as well",
                    details={"path": display_path(path)},
                )

    def _check_outside(self, files: RunFiles) -> None:
        """Refuse where a tracked file that is no output isn't as it was."""
        before = self._repo.manifest(self._root)
        suspects = {*files.differing, *self._seen}
        if files.manifest.root != self._root:
            suspects.update(c.path for c in diff_manifests(before, files.manifest))
        changed = [
            path
            for path in sorted(suspects)
            if not is_within(path, self.spec.outputs)
            and (entry := before.get(path)) is not None
            and self._differs(files, path, entry)
        ]
        if changed:
            names = [display_path(path) for path in changed]
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ChangedOutsideError(
                f"the run changed {names[0]}{more}, which it doesn't name as an output; nothing was recorded",
                hint="name it with -o, or restore it with: dsvc restore PATH",
                details={"paths": names[:100]},
            )

    def _differs(self, files: RunFiles, path: bytes, entry: Entry) -> bool:
        seen = self._seen.get(path)
        return files.content(path) != entry.digest if seen is None else files.has_changed(path, seen)

    def _outputs(
        self, files: RunFiles, *, everything: bool
    ) -> tuple[list[ArtifactFiles], dict[bytes, Taken]]:
        """Store what the run made."""
        found: list[ArtifactFiles] = []
        taken: dict[bytes, Taken] = {}
        named = dict.fromkeys(self.spec.outputs)
        for path in named:
            in_place = everything or path in self.spec.inputs
            below = list(files.below(path)) if files.is_folder(path) else [path]
            made = [
                each
                for each in below
                if (each == path or each not in named)
                and (in_place or files.was_written(each, self._before.get(each)))
            ]
            if not made or files.stat(made[0]) is None:
                raise _not_made(path, is_folder=files.is_folder(path))
            for each in made:
                taken[each] = files.take(each)
            entries = tuple(taken[each].entry for each in made)
            if files.is_folder(path):
                found += artifacts_of_folder(path, entries)
            else:
                found.append(ArtifactFiles(path, False, entries))
        return found, taken

    def _versions_before(self, outputs: Sequence[ArtifactFiles]) -> list[ArtifactFiles]:
        """Inputs of what was done by hand: of a file that was edited, the version before."""
        edited = {entry.path: entry for output in outputs for entry in output.entries}
        return [
            each._replace(
                entries=tuple(
                    earlier_version(self._repo, edited[e.path]) if e.path in edited else e
                    for e in each.entries
                )
            )
            for each in self.inputs
        ]


def note_pending(repo: Workspace, result: RunResult) -> None:
    """Have a stored run wait for a commit, and log it, so that `undo` takes it back."""
    add_pending(repo.layout, result.id, durable=repo.keeps_records)
    staged = repo.staged().root
    words = [result.run.name, result.id.short()]
    try:
        repo.record("run", arguments=words, before=staged, after=staged, runs=[result.id])
    except DsvcError:
        remove_pending(repo.layout, [result.id], durable=repo.keeps_records)
        raise


@contextmanager
def _changing(repo: Workspace) -> Iterator[None]:
    with repo.changing():
        try:
            yield
        except BaseException:
            repo.store.abandon()
            raise


def _not_made(path: bytes, *, is_folder: bool) -> OutputMissingError:
    name = display_path(path) or "."
    what = f"nothing in {name} was made or changed" if is_folder else f"{name} was not made"
    return OutputMissingError(
        f"{what}; nothing was recorded",
        hint="-o names what the command writes, seen from the working tree",
        details={"path": name},
    )


__all__ = ["ChangedOutsideError", "InputChangedError", "OutputMissingError", "Recording", "begin_run", "now"]
