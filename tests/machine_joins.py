"""Rules of the state machine for merges, picks, stashes and taking back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.machine_files import many, pick
from tests.machine_versions import Versions
from tests.machine_view import STASH
from tests.plain_contents import (
    ANYTHING,
    Loose,
    one_of,
    table_of,
)
from tests.plain_repository import (
    OVERWRITE,
    Expected,
    Joining,
    Merged,
    New,
    Stash,
    State,
    Tree,
    becomes,
    carried,
    differing,
    merge3,
    possible,
    put,
    refused,
    sure,
    switch,
)


class Joins(Versions):
    """Merges, picks, stashes, and taking back."""

    def joined(self, verb: str, base: Tree | None, theirs: Tree, id_: str, parents: Any) -> Expected:
        """What merging a tree comes to: a commit, conflicts, or nothing."""
        state, head = self.world.state, self.world.head
        if base is None:
            open_ = differing(head, theirs)
            merged = Merged({**head, **dict.fromkeys(open_, ANYTHING)}, set(), open_)
        else:
            merged = merge3(base, head, theirs)
        firm = merged.conflicts - merged.vague
        found = switch(state, head, merged.tree, firm)
        clean = replace(state, staged=found.staged, tree=found.tree)
        touched = frozenset(differing(head, merged.tree))
        joining = Joining(
            verb, id_, state.staged, touched, frozenset(firm), frozenset(merged.vague | merged.conflicts)
        )
        conflicts = replace(clean, joining=joining)
        if verb == "stash pop":
            clean = replace(clean, joining=None)
        else:
            clean = clean.moved(New(parents, merged.tree))
        nothing = verb != "merge" and all(
            isinstance(item, Loose) and item.accepts(head.get(path))
            for path in differing(head, merged.tree)
            for item in [merged.tree.get(path)]
        )
        after = () if firm else (clean,)
        after += (conflicts,) if merged.conflicts or merged.vague else ()
        after += (state,) if nothing and not firm and verb != "stash pop" else ()
        if nothing and not touched:
            after = (state,)
            return becomes(*after)
        codes = frozenset([OVERWRITE] if found.must or found.may else [])
        return Expected(() if found.must else after, codes)

    @rule(number=many)
    def merge(self, number: int) -> None:
        world, state = self.world, self.world.state
        rev, other = self.named(number)
        bases = world.history.bases(state.commit, other)
        theirs = world.history.tree(other)
        if state.joining is not None:
            expected = refused(OVERWRITE)
        elif not bases:
            expected = refused("usage")
        elif bases == {other}:
            expected = becomes(state)
        elif bases == {state.commit}:
            found = self.switched(theirs)
            expected = Expected(tuple(each.moved(other) for each in found.after), found.codes)
        else:
            base = world.history.base_tree(bases)
            expected = self.joined("merge", base, theirs, other, (state.commit, other))
        world.do(
            f"merge {rev}", expected, lambda repo: repo.merge(rev), already=[OVERWRITE, "merge-conflict"]
        )

    @rule(number=many, verb=st.sampled_from(["cherry-pick", "revert"]))
    def take_one(self, number: int, verb: str) -> None:
        world, state = self.world, self.world.state
        rev, commit = self.named(number)
        made = world.history.commits[commit]
        before = world.history.tree(made.parents[0] if made.parents else None)
        old, new = (before, made.tree) if verb == "cherry-pick" else (made.tree, before)
        if len(made.parents) > 1:
            expected = refused("usage")
        elif state.joining is not None:
            expected = refused(OVERWRITE)
        else:
            expected = self.joined(verb, old, new, commit, (state.commit,))
        world.do(
            f"{verb} {rev}",
            expected,
            lambda repo: repo.revert(commit) if verb == "revert" else repo.cherry_pick(commit),
            already=[OVERWRITE, "merge-conflict"],
        )

    @precondition(lambda self: self.world.state.joining is not None)
    @rule(number=many, side=st.sampled_from(["ours", "theirs"]))
    def resolve(self, number: int, side: str) -> None:
        world, state = self.world, self.world.state
        joining = state.joining
        assert joining is not None
        if not joining.conflicts:
            return
        path = pick(sorted(joining.conflicts), number)
        (conflict,) = world.repo.conflicts(path)[:1]
        entry = conflict.ours if side == "ours" else conflict.theirs
        item = None if entry is None else world.item(entry)
        if conflict.table is not None:
            item = self.settled_table(path, side, conflict)
        staged, tree = dict(state.staged), dict(state.tree)
        for each in (staged, tree) if state.holds(path) else (staged,):
            if item is None:
                each.pop(path, None)
            else:
                each[path] = item
        rest = replace(joining, conflicts=joining.conflicts - {path})
        expected = becomes(replace(state, staged=staged, tree=tree, joining=rest))
        if not possible(staged) or not possible(tree):
            expected = refused("usage", OVERWRITE)
        elif conflict.table is not None:
            expected = Expected(expected.after, frozenset({"usage", "malformed-table"}))
        world.do(
            f"resolve {path.decode()} {side}",
            expected,
            lambda repo: repo.resolve(path, side=side),
            already=["not-found"],
        )

    def settled_table(self, path: bytes, side: str, conflict: Any) -> Any:
        """The rows in conflict are the side's afterwards."""
        wanted = table_of(path, self.world.item(conflict.ours if side == "ours" else conflict.theirs))

        def accepts(found: Any) -> bool:
            rows = table_of(path, found)
            return rows is not None and wanted is not None

        return Loose(accepts)

    @rule()
    def abort(self) -> None:
        state, joining = self.world.state, self.world.state.joining
        expected = refused("usage")
        if joining is not None:
            tree = dict(state.tree)
            touched = differing(state.staged, joining.before) | joining.touched | joining.conflicts
            for path in sorted(touched):
                if state.holds(path):
                    put(tree, path, joining.before.get(path))
            expected = becomes(
                replace(state, staged=joining.before, tree=tree, joining=None), unless=[OVERWRITE]
            )
        self.world.do("merge --abort", expected, lambda repo: repo.merge_abort(), already=["usage"])

    # Stashes

    @rule()
    def stash(self) -> None:
        world, state, head = self.world, self.world.state, self.world.head
        held = {p: i for p in state.staged if (i := (state.tree if state.holds(p) else state.staged).get(p))}
        if state.joining is not None:
            world.do("stash", refused(OVERWRITE), lambda repo: repo.stash("工作"))
            return
        if held == state.staged == head:
            world.do("stash", becomes(state), lambda repo: repo.stash("工作"))
            return
        tree, must = dict(state.tree), False
        for path in differing(held, head):
            if not state.holds(path):
                continue
            there, new = tree.get(path), head.get(path)
            must = must or there not in (held.get(path), new, None)
            tree.pop(path, None)
            if new is not None:
                tree[path] = new
        must = must or not possible(tree)
        refs = {**state.refs, STASH: New(None, held)}
        kept = Stash(head, state.staged, held, state.refs.get(STASH))
        after = replace(state, staged=head, tree=tree, refs=refs, stashes=(*state.stashes, kept))
        expected = refused(OVERWRITE) if must else becomes(after)
        world.do("stash", expected, lambda repo: repo.stash("工作"), again=False)

    @rule()
    def stash_pop(self) -> None:
        world, state = self.world, self.world.state
        if not state.stashes:
            world.do("stash pop", refused("not-found"), lambda repo: repo.stash_pop())
            return
        kept = state.stashes[-1]
        if state.joining is not None:
            world.do("stash pop", refused(OVERWRITE), lambda repo: repo.stash_pop())
            return
        found = self.joined("stash pop", kept.base, kept.held, state.refs[STASH], None)
        after = tuple(self.popped(each, kept) if each.joining is None else each for each in found.after)
        world.do(
            "stash pop",
            Expected(after, found.codes),
            lambda repo: repo.stash_pop(),
            again=False,
            already=[OVERWRITE],
        )

    def popped(self, clean: State, kept: Stash) -> State:
        """What is staged and which stashes are left once a stash is back."""
        state, head = self.world.state, self.world.head
        again = merge3(kept.base, head, kept.staged)
        staged = clean.staged if again.conflicts else carried(head, again.tree, state.staged)
        refs = dict(state.refs)
        refs.pop(STASH)
        if kept.below is not None:
            refs[STASH] = kept.below
        return replace(clean, staged=staged, refs=refs, stashes=state.stashes[:-1])

    # Taking back

    @rule()
    def undo(self) -> None:
        world, state = self.world, self.world.state
        if not world.done:
            return
        last = world.done[-1]
        tree, must = dict(state.tree), False
        for path in differing(last.before.tree, last.after.tree):
            now, then = tree.get(path), last.before.tree.get(path)
            must = must or now not in (last.after.tree.get(path), then, None)
            tree.pop(path, None)
            if then is not None:
                tree[path] = then
            elif path in last.before.staged and now is not None:
                # That a tracked file was gone is nothing that undo has to bring about again.
                tree[path] = one_of(None, now, last.before.staged[path])
        must = must or not possible(sure(tree))
        moves = state.joining is not None and (state.branch, state.refs) != (
            last.before.branch,
            last.before.refs,
        )
        codes = {"concurrent-change"} if moves else set()
        expected = Expected((replace(last.before, tree=tree),), frozenset(codes))
        if must:
            expected = refused(OVERWRITE, *codes)
        before, count = world.state, len(world.done)
        if world.do(
            f"undo {last.id[:8]}",
            expected,
            lambda repo: repo.undo(last.id),
            already=["concurrent-change"],
        ):
            world.undone(last, before, count)
