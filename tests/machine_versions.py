"""Rules of the state machine for commits, branches and moving between them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from dsvc.porcelain.state.values import ResetMode
from tests.machine_files import HEADS, NAMES, TAGS, Files, many, names, pick
from tests.plain_repository import (
    OVERWRITE,
    Expected,
    New,
    Tree,
    becomes,
    forced,
    refused,
    switch,
)


class Versions(Files):
    """Commits, branches, and moving between them."""

    # Commits

    @rule(number=many, all_=st.booleans(), amend=st.sampled_from([False, False, False, True]))
    def commit(self, number: int, all_: bool, amend: bool) -> None:
        world, state = self.world, self.world.state
        joining = state.joining
        if all_ and joining is not None:
            return
        if all_:
            state = self.added(state, sorted(state.staged))
        parents: tuple[str, ...] = (state.commit,)
        if amend:
            parents = world.history.commits[state.commit].parents
        elif joining is not None and joining.verb == "merge":
            parents += (joining.theirs,)
        news = state.staged != world.head or amend or (joining is not None and joining.verb == "merge")
        expected = becomes(state.moved(New(parents, state.staged), joining=None))
        if joining is not None and amend and joining.verb in ("merge", "cherry-pick"):
            expected = refused("usage", "merge-conflict", OVERWRITE)
        elif joining is not None and joining.conflicts:
            expected = refused("merge-conflict")
        elif not news and not world.repo.status().pending_runs:
            expected = refused("nothing-to-commit")
        elif not news:
            expected = Expected(expected.after, frozenset({"nothing-to-commit"}))
        world.do(
            f"commit {number} {all_=} {amend=}",
            expected,
            lambda repo: repo.commit(f"版本 {number}", all=all_, amend=amend),
            already=["nothing-to-commit"],
        )

    # Branches and tags

    def named(self, number: int) -> tuple[str, str]:
        """A revision by a name or an id, and its commit."""
        refs = self.world.state.refs
        options = [(n.removeprefix(HEADS), c) for n, c in sorted(refs.items()) if n.startswith(HEADS)]
        options += [(c, c) for c in self.world.history.commits]
        return pick(options, number)  # type: ignore[no-any-return]

    @rule(name=names, number=many, what=st.sampled_from(["make", "make", "delete", "rename"]))
    def branch(self, name: str, number: int, what: str) -> None:
        world, state = self.world, self.world.state
        rev, commit = self.named(number)
        refs, ref = dict(state.refs), HEADS + name
        expected = refused("not-found")
        if what == "make":
            clash = "b" in name and HEADS + "b" in refs
            expected = (
                refused("ref-exists", "current-branch")
                if ref in refs
                else becomes(
                    replace(state, refs={**refs, ref: commit}), unless=["ref-conflict"] if clash else []
                )
            )
            world.do(
                f"branch {name} {rev}", expected, lambda r: r.create_branch(name, rev), already=["ref-exists"]
            )
            return
        if what == "delete":
            if ref == state.branch:
                expected = refused("current-branch")
            elif ref in refs:
                merged = refs[ref] in world.history.ancestors(state.commit)
                del refs[ref]
                expected = becomes(replace(state, refs=refs)) if merged else refused("unmerged-branch")
            world.do(f"branch -d {name}", expected, lambda r: r.delete_branch(name), already=["not-found"])
            return
        new = pick(NAMES, number)
        if ref in refs and new != name:
            target = HEADS + new
            branch = target if state.branch == ref else state.branch
            moved = {**{n: c for n, c in refs.items() if n != ref}, target: refs[ref]}
            taken = target in refs
            expected = refused("ref-exists") if taken else becomes(replace(state, refs=moved, branch=branch))
        elif ref in refs:
            expected = becomes(state)
        world.do(
            f"branch -m {name} {new}", expected, lambda r: r.rename_branch(name, new), already=["not-found"]
        )

    @rule(number=many, name=st.sampled_from(["v1", "标签"]), message=st.sampled_from([None, "说明"]))
    def tag(self, number: int, name: str, message: str | None) -> None:
        state, ref = self.world.state, TAGS + name
        rev, commit = self.named(number)
        if ref in state.refs:
            refs = {n: c for n, c in state.refs.items() if n != ref}
            self.world.do(
                f"tag -d {name}",
                becomes(replace(state, refs=refs)),
                lambda r: r.delete_tag(name),
                already=["not-found"],
            )
            return
        # An annotated tag is an object of its own; a commit is what it leads to.
        refs = {**state.refs, ref: commit}
        self.world.do(
            f"tag {name} {rev}",
            becomes(replace(state, refs=refs)),
            lambda r: r.create_tag(name, rev, message=message),
            already=["ref-exists"],
        )

    # Moving

    def switched(self, target: Tree) -> Expected:
        """Staged state and tree of a move; HEAD is still where it was."""
        state = self.world.state
        found = switch(state, self.world.head, target)
        after = replace(state, staged=found.staged, tree=found.tree)
        return Expected(
            () if found.must else (after,), frozenset([OVERWRITE] if found.must or found.may else [])
        )

    @rule(number=many, force=st.sampled_from([False, False, True]))
    def checkout(self, number: int, force: bool) -> None:
        world, state = self.world, self.world.state
        rev, commit = self.named(number)
        target = world.history.tree(commit)
        where = HEADS + rev if HEADS + rev in state.refs else None
        expected = self.switched(target)
        if force:
            expected = becomes(replace(state, staged=target, tree=forced(state, target), joining=None))
        elif state.joining is not None and commit != state.commit:
            expected = refused(OVERWRITE)
        after = tuple(replace(s, branch=where, detached=None if where else commit) for s in expected.after)
        world.do(
            f"checkout {rev} {force=}",
            Expected(after, expected.codes),
            lambda repo: repo.checkout(rev, force=force),
        )

    @rule(number=many, name=names)
    def checkout_new(self, number: int, name: str) -> None:
        state = self.world.state
        rev, commit = self.named(number)
        expected = self.switched(self.world.history.tree(commit))
        if HEADS + name in state.refs:
            expected = refused("usage")
        elif state.joining is not None and commit != state.commit:
            expected = refused(OVERWRITE)
        refs = {**state.refs, HEADS + name: commit}
        after = tuple(replace(s, branch=HEADS + name, detached=None, refs=refs) for s in expected.after)
        self.world.do(
            f"checkout -b {name} {rev}",
            Expected(after, expected.codes),
            lambda repo: repo.checkout(rev, new_branch=name),
            already=["usage"],
        )

    @rule(number=many, mode=st.sampled_from(list(ResetMode)))
    def reset(self, number: int, mode: ResetMode) -> None:
        world, state = self.world, self.world.state
        rev, commit = self.named(number)
        target = world.history.tree(commit)
        after = state.moved(commit)
        if mode is not ResetMode.SOFT:
            after = replace(after, staged=target, joining=None)
        if mode is ResetMode.HARD:
            after = replace(after, tree=forced(state, target))
        expected = becomes(after)
        joining = state.joining
        if mode is ResetMode.SOFT and joining is not None and (joining.verb == "merge" or joining.conflicts):
            expected = refused("usage", OVERWRITE)
        world.do(f"reset --{mode} {rev}", expected, lambda repo: repo.reset(rev, mode))

    @precondition(lambda self: self.world.state.joining is None)
    @rule(pattern=st.sampled_from(["数据/", "*.txt", None]))
    def sparse(self, pattern: str | None) -> None:
        state = self.world.state
        held = {p: item for p, item in state.staged.items() if state.holds(p)}
        if held != state.tree:
            return
        now = replace(state, sparse=pattern)
        after = replace(now, tree={p: item for p, item in state.staged.items() if now.holds(p)})
        self.world.do(
            f"sparse {pattern}", becomes(after), lambda repo: repo.checkout(sparse=[pattern or "*"])
        )
        # What undo makes of patterns is told by tests of its own.
        self.world.done.clear()
