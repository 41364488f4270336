"""Rules of the state machine for files and the staged state: what each verb comes to, by git's rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.machine_world import World
from tests.plain_contents import (
    SLOTS,
    brief,
    csv,
    is_table,
    parquet,
    slots_of,
    table_of,
    text,
)
from tests.plain_repository import (
    OVERWRITE,
    State,
    Tree,
    becomes,
    covered,
    differing,
    possible,
    put,
    refused,
)

FOLDER = "数据".encode()
TEXTS = [b"a.txt", FOLDER + "/正文.txt".encode(), b"d", b"d/x.txt"]
TABLES = [FOLDER + "/表.csv".encode(), b"t.parquet"]
PATHS = [*TEXTS, *TABLES, b"noise.bin"]
NAMES = ["topic", "分支", "b/c"]
HEADS = "refs/heads/"
TAGS = "refs/tags/"

paths = st.sampled_from(PATHS)
scopes = st.sampled_from([*PATHS, FOLDER, b""])
names = st.sampled_from(NAMES)
few = st.integers(0, 3)
many = st.integers(0, 30)


def start() -> Tree:
    """What the first commit of every repository holds."""
    table = {n: (n, 0) for n in range(4)}
    items = [
        text([0] * SLOTS),
        text([1] * SLOTS),
        None,
        text([2] * SLOTS),
        csv(table),
        parquet(table),
        b"\0\1",
    ]
    settings = '[tables."*"]\nkey = ["id"]\n[lineage]\nproject = ["*.txt", "d", "*.bin", "*.toml"]\n'
    tree: Tree = {path: ("file", item) for path, item in zip(PATHS, items, strict=True) if item is not None}
    return {**tree, b"dsvc.toml": ("file", settings.encode())}


def edited(path: bytes, item: Any, at: int, value: int, other: int) -> bytes:
    """One edit of a file, in one of the places where its kind has them."""
    if is_table(path):
        table = dict(table_of(path, item) or {})
        if other == 3:
            table.pop(at, None)
        else:
            table[at] = (value, other)
        return (csv if path.endswith(b".csv") else parquet)(table)
    if path.endswith(b".bin"):
        return b"\0" + bytes([value, other])
    slots = list((item and item[0] != "link" and slots_of(item[1])) or [0] * SLOTS)
    slots[at % SLOTS] = value
    return text(slots)


def pick(options: Sequence[Any], number: int) -> Any:
    return options[number % len(options)]


class Files(RuleBasedStateMachine):
    """What a person does to files, and verbs on the staged state."""

    world: World

    def write(self, items: dict[bytes, Any]) -> None:
        """Change files as a person does."""
        tree = dict(self.world.state.tree)
        for path, item in items.items():
            put(tree, path, item)
        gone = self.world.state.tree.keys() - tree.keys()
        self.world.work.write(dict.fromkeys(gone))
        self.world.work.write({path: tree[path] for path in items if path in tree})
        self.world.state = replace(self.world.state, tree=tree)
        self.world.log.append(
            "write " + ", ".join(f"{p.decode()} {brief(p, item)}" for p, item in items.items())
        )

    @rule(path=paths, at=few, value=few, other=few)
    def edit(self, path: bytes, at: int, value: int, other: int) -> None:
        item = self.world.state.tree.get(path)
        if self.world.state.holds(path):
            kind = "exec" if item and item[0] == "exec" else "file"
            self.write({path: (kind, edited(path, item, at, value, other))})

    @rule(path=st.sampled_from(TEXTS), to=st.sampled_from([b"a.txt", b"nowhere"]))
    def symlink(self, path: bytes, to: bytes) -> None:
        if self.world.state.holds(path):
            self.write({path: ("link", to)})

    @rule(path=paths)
    def change_mode(self, path: bytes) -> None:
        item = self.world.state.tree.get(path)
        if item is not None and item[0] != "link":
            self.write({path: ("file" if item[0] == "exec" else "exec", item[1])})

    @rule(path=paths)
    def remove_file(self, path: bytes) -> None:
        if path in self.world.state.tree:
            self.write({path: None})

    @rule(source=st.sampled_from(TEXTS), to=st.sampled_from(TEXTS))
    def rename_file(self, source: bytes, to: bytes) -> None:
        item = self.world.state.tree.get(source)
        if item is not None and self.world.state.holds(to) and source != to:
            self.write({source: None, to: item})

    # The staged state

    def added(self, state: State, scope: Sequence[bytes]) -> State:
        staged = dict(state.staged)
        for path in differing(state.staged, state.tree):
            if covered(scope, path) and state.holds(path):
                put(staged, path, state.tree.get(path))
        joining = state.joining
        if joining is not None:
            settled = {
                path
                for path in joining.conflicts
                if path in scope or (covered(scope, path) and staged.get(path) != state.staged.get(path))
            }
            joining = replace(joining, conflicts=joining.conflicts - settled)
        return replace(state, staged=staged, joining=joining)

    @rule(scope=scopes)
    def add(self, scope: bytes) -> None:
        state = self.world.state
        there = any(covered([scope], path) for path in [*state.tree, *state.staged]) or not scope
        after = self.added(state, [scope])
        expected = becomes(after, unless=() if there else ("not-found",))
        if not there and not (state.joining and scope in state.joining.conflicts):
            expected = refused("not-found") if state.holds(scope) else becomes(after, unless=("not-found",))
        self.world.do(f"add {scope.decode()}", expected, lambda repo: repo.add([scope]))

    @rule(number=many, cached=st.booleans(), force=st.booleans())
    def remove(self, number: int, cached: bool, force: bool) -> None:
        state, head = self.world.state, self.world.head
        path = pick([*sorted(state.staged.keys() - {b"dsvc.toml"}), b"no such file"], number)
        item, there = state.staged.get(path), state.tree.get(path)
        staged, tree = dict(state.staged), dict(state.tree)
        staged.pop(path, None)
        if not cached and state.holds(path):
            tree.pop(path, None)
        joining, in_conflict = state.joining, state.joining is not None and path in state.joining.conflicts
        if joining is not None:
            joining = replace(joining, conflicts=joining.conflicts - {path})
        unstaged = there not in (item, None) and state.holds(path)
        unsaved = head.get(path) != item and unstaged if cached else head.get(path) != item or unstaged
        expected = becomes(replace(state, staged=staged, tree=tree, joining=joining))
        if item is None:
            expected = refused("not-found")
        elif unsaved and not force and not in_conflict:
            expected = refused(OVERWRITE)
        self.world.do(
            f"rm {path.decode()} {cached=} {force=}",
            expected,
            lambda repo: repo.remove([path], cached=cached, force=force),
            already=["not-found"],
        )

    @rule(source=paths, to=st.sampled_from([*TEXTS, b"e/new.txt"]))
    def move(self, source: bytes, to: bytes) -> None:
        target = to
        state = self.world.state
        is_folder = any(
            path.startswith((source + b"/", target + b"/")) for path in [*state.tree, *state.staged]
        )
        if (
            is_folder
            or is_table(source) != is_table(target)
            or not (state.holds(source) and state.holds(target))
        ):
            return
        staged, tree = dict(state.staged), dict(state.tree)
        expected = refused("not-found", OVERWRITE, "usage")
        in_conflict = state.joining is not None and source in state.joining.conflicts
        if (
            not target.startswith(source + b"/")
            and source in staged
            and source in tree
            and target not in staged
            and target not in tree
            and not in_conflict
        ):
            staged[target], tree[target] = staged.pop(source), tree.pop(source)
            if possible(staged) and possible(tree):
                expected = becomes(replace(state, staged=staged, tree=tree))
        self.world.do(
            f"mv {source.decode()} {target.decode()}",
            expected,
            lambda repo: repo.move(source, target),
            already=["not-found"],
        )

    @rule(scope=scopes, number=many, how=st.sampled_from(["tree", "staged", "source"]))
    def restore(self, scope: bytes, number: int, how: str) -> None:
        world, state = self.world, self.world.state
        commits = list(world.history.commits)
        rev = pick(commits, number) if how == "source" else None
        origin = world.history.tree(rev) if rev else world.head if how == "staged" else state.staged
        wanted = {path for path in (*origin, *state.staged) if covered([scope], path)}
        staged, tree = dict(state.staged), dict(state.tree)
        for path in sorted(wanted):
            if how == "staged":
                put(staged, path, origin.get(path))
            elif state.holds(path) and (path in origin or tree.get(path) is not None):
                put(tree, path, origin.get(path))
        expected = becomes(replace(state, staged=staged, tree=tree))
        if not wanted and scope:
            expected = refused("not-found")
        world.do(
            f"restore {how} {scope.decode()} {rev}",
            expected,
            lambda repo: repo.restore([scope], staged=how == "staged", source=rev),
        )

    @rule(scope=st.sampled_from([b"", FOLDER, b"d"]))
    def clean(self, scope: bytes) -> None:
        state = self.world.state
        tree = {p: item for p, item in state.tree.items() if p in state.staged or not covered([scope], p)}
        there = not scope or any(covered([scope], path) for path in [*state.tree, *state.staged])
        expected = becomes(replace(state, tree=tree)) if there else becomes(state, unless=["not-found"])
        self.world.do(f"clean {scope.decode()}", expected, lambda repo: repo.clean([scope] if scope else []))
