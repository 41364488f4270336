"""What versioning means, in dictionaries: an independent model that the state machine holds dsvc against.

A tree is a dictionary of paths; a state is all that a user sees of a repository. The functions say what
becomes of a state, by git's rules and dsvc's own for tables; nothing here imports dsvc. Where rules leave
something open (what a conflicted file holds, in which order the rows of a merged table come), the tree has a
`Loose` value, which takes what is found as long as a check accepts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tests.plain_contents import ANYTHING, Item, Loose, is_table, slots_of, table_of, text

Tree = dict[bytes, Any]


# Trees


def above(path: bytes) -> list[bytes]:
    return [path[:at] for at, char in enumerate(path) if char == ord("/")]


def put(tree: Tree, path: bytes, item: Any) -> None:
    """Write a file as a person does: what is in its way goes."""
    if item is None:
        tree.pop(path, None)
        return
    for other in [p for p in tree if p.startswith(path + b"/") or p in above(path)]:
        del tree[other]
    tree[path] = item


def possible(tree: Tree) -> bool:
    """Whether no path is a file and a folder at once."""
    return not any(parent in tree for path in tree for parent in above(path))


def covered(scope: Iterable[bytes], path: bytes) -> bool:
    return any(each in (b"", path) or path.startswith(each + b"/") for each in scope)


def differing(one: Tree, other: Tree) -> set[bytes]:
    return {p for p in one.keys() | other.keys() if one.get(p) != other.get(p)}


def carried(old: Tree, new: Tree, onto: Tree) -> Tree:
    """What was changed from old to new, in another tree."""
    result = dict(onto)
    for path in differing(old, new):
        if path in new:
            result[path] = new[path]
        else:
            result.pop(path, None)
    return result


# Merging


class Merged(NamedTuple):
    """A merge by path; `vague` are paths of which a rename may have decided."""

    tree: Tree
    conflicts: set[bytes]
    vague: set[bytes]


def merge3(base: Tree, ours: Tree, theirs: Tree) -> Merged:
    """Merge what two trees changed since a third."""
    tree: Tree = dict(ours)
    conflicts: set[bytes] = set()
    for path in differing(base, theirs):
        b, o, t = base.get(path), ours.get(path), theirs.get(path)
        merged, clean = _merge_item(path, b, o, t)
        if not clean:
            conflicts.add(path)
        if merged is None:
            tree.pop(path, None)
        else:
            tree[path] = merged
    for path in list(tree):
        for parent in above(path):
            if parent in tree:
                conflicts |= {parent, path}
    vague = _maybe_renamed(base, ours, theirs)
    for path in conflicts | vague:
        tree[path] = ANYTHING
    return Merged(tree, conflicts, vague)


def _maybe_renamed(base: Tree, ours: Tree, theirs: Tree) -> set[bytes]:
    """Paths that a rename on one side, and a change of the same file on the other, may lead elsewhere."""
    vague: set[bytes] = set()
    for side, other in ((ours, theirs), (theirs, ours)):
        gone, new = base.keys() - side.keys(), side.keys() - base.keys()
        # Of a file that became a folder's name the same is said by what is in its way.
        moved = {path for path in gone if other.get(path) != base[path]}
        if moved and new:
            vague |= moved | new | (other.keys() - base.keys())
    return vague


def _merge_item(path: bytes, b: Any, o: Any, t: Any) -> tuple[Any, bool]:
    if t in (o, b):
        return o, True
    if b == o:
        return t, True
    if Loose in (type(b), type(o), type(t)):
        return ANYTHING, True
    if b is None and o is not None and t is not None and o[1] == t[1]:
        return ANYTHING, False
    if is_table(path) and o is not None and t is not None:
        found = _merge_tables(path, b, o, t)
        if found is not None:
            return found
    if None in (b, o, t) or "link" in (b[0], o[0], t[0]):
        return ANYTHING, False
    return _merge_files(b, o, t)


def _merge_files(b: Item, o: Item, t: Item) -> tuple[Any, bool]:
    """Mode and content merge by themselves."""
    mode = t[0] if o[0] == b[0] else o[0]
    if b[1] in (o[1], t[1]) or o[1] == t[1]:
        return (mode, t[1] if o[1] == b[1] else o[1]), True
    slots = [slots_of(each[1]) for each in (b, o, t)]
    if None in slots:
        return ANYTHING, False
    found = [_cell(*each) for each in zip(*slots, strict=True)]  # type: ignore[arg-type]
    if None in found:
        return ANYTHING, False
    return (mode, text(found)), True  # type: ignore[arg-type]


def _cell(b: int, o: int, t: int) -> int | None:
    """The value that both come to; None where they disagree."""
    return o if t in (o, b) else t if o == b else None


def _merge_tables(path: bytes, b: Item | None, o: Item, t: Item) -> tuple[Any, bool] | None:
    tables = [table_of(path, each) for each in (b, o, t)]
    if tables[1] is None or tables[2] is None or (b is not None and tables[0] is None) or b is None:
        return None
    rows: dict[int, tuple[int, int] | None] = {}
    for key in tables[0] | tables[1] | tables[2]:  # type: ignore[operator]
        was, mine, other = (each.get(key) for each in tables)  # type: ignore[union-attr]
        if other in (mine, was):
            rows[key] = mine
        elif was == mine:
            rows[key] = other
        elif None in (was, mine, other):
            return ANYTHING, False
        else:
            cells = [_cell(*each) for each in zip(was, mine, other, strict=True)]  # type: ignore[arg-type]
            if None in cells:
                return ANYTHING, False
            rows[key] = (cells[0], cells[1])  # type: ignore[assignment]
    mode = t[0] if b is not None and o[0] == b[0] else o[0]
    wanted = {key: cells for key, cells in rows.items() if cells is not None}
    return Loose(
        lambda found: found is not None and found[0] == mode and table_of(path, found) == wanted
    ), True


# States

SPARSE: dict[str, Callable[[bytes], bool]] = {
    "数据/": lambda path: path.startswith("数据/".encode()),
    "*.txt": lambda path: path.endswith(b".txt"),
}
"""Patterns of a sparse tree, and what they mean."""


@dataclass(frozen=True)
class Commit:
    parents: tuple[str, ...]
    tree: Tree


@dataclass(frozen=True)
class Stash:
    base: Tree
    staged: Tree
    held: Tree
    below: str | None
    """The stash before it."""


@dataclass(frozen=True)
class Joining:
    """A merge, revert, cherry-pick or stash pop that a person has to finish."""

    verb: str
    theirs: str
    before: Tree
    touched: frozenset[bytes]
    conflicts: frozenset[bytes]
    vague: frozenset[bytes] | None = frozenset()
    """Paths that may be in conflict besides; None once it was looked at."""


@dataclass(frozen=True)
class New:
    """A commit that a verb shall make."""

    parents: tuple[str, ...] | None
    tree: Tree


@dataclass(frozen=True)
class State:
    """All that a user sees; values of `refs` and `detached` may be `New`."""

    branch: str | None = "refs/heads/main"
    detached: Any = None
    refs: dict[str, Any] = field(default_factory=dict)
    staged: Tree = field(default_factory=dict)
    tree: Tree = field(default_factory=dict)
    joining: Joining | None = None
    stashes: tuple[Stash, ...] = ()
    sparse: str | None = None
    facts: tuple[tuple[str, Any], ...] = ()
    """What is known of sources, runs, evaluations, defects, repairs, releases."""

    @property
    def commit(self) -> Any:
        return self.detached if self.branch is None else self.refs.get(self.branch)

    def holds(self, path: bytes) -> bool:
        """Whether the working tree holds a path."""
        return self.sparse is None or SPARSE[self.sparse](path)

    def moved(self, commit: Any, **more: Any) -> State:
        """With HEAD's branch, or HEAD itself, at a commit."""
        if self.branch is None:
            return replace(self, detached=commit, **more)
        return replace(self, refs={**self.refs, self.branch: commit}, **more)


class Expected(NamedTuple):
    """What a verb comes to: one of some states (none: it must be refused), or an allowed refusal."""

    after: tuple[State, ...]
    codes: frozenset[str] = frozenset()


def refused(*codes: str) -> Expected:
    return Expected((), frozenset(codes))


def becomes(*states: State, unless: Iterable[str] = ()) -> Expected:
    return Expected(states, frozenset(unless))


OVERWRITE = "would-overwrite"


class Switched(NamedTuple):
    """What a move from one tree to another comes to, and whether it must or may be refused."""

    staged: Tree
    tree: Tree
    must: bool
    may: bool


def switch(state: State, head: Tree, target: Tree, firm: Iterable[bytes] = ()) -> Switched:
    """Move from HEAD's tree to another one, with uncommitted work around; `firm` paths are surely written."""
    staged, tree = dict(state.staged), dict(state.tree)
    must = may = False
    for path in differing(head, target):
        old, new, now, there = head.get(path), target.get(path), staged.get(path), tree.get(path)
        unsure = isinstance(new, Loose) and new.accepts(old) and path not in firm
        if now == new:
            continue
        held = state.holds(path)
        in_the_way = now != old or (held and there not in (old, new, None))
        if isinstance(new, Loose) and new.accepts(there) and now == old:
            unsure = True
        must, may = must or (in_the_way and not unsure), may or (in_the_way and unsure)
        may = may or (held and there is not None and there == new)
        if in_the_way and unsure:
            new = ANYTHING
        for each in (staged, tree) if held else (staged,):
            if new is None:
                each.pop(path, None)
            else:
                each[path] = new
    must = must or not possible(sure(staged)) or not possible(sure(tree))
    return Switched(staged, tree, must, may or not possible(staged) or not possible(tree))


def sure(tree: Tree) -> Tree:
    """Without what is only known by a check."""
    return {path: item for path, item in tree.items() if not isinstance(item, Loose)}


def forced(state: State, target: Tree) -> Tree:
    """The tree where every tracked file becomes what a target has; what is in the way goes."""
    tree = dict(state.tree)
    for path in state.staged.keys() - target.keys():
        if state.holds(path):
            tree.pop(path, None)
    for path, item in target.items():
        if state.holds(path):
            put(tree, path, item)
    return tree


class History:
    """Commits by id."""

    def __init__(self) -> None:
        self.commits: dict[str, Commit] = {}

    def tree(self, commit: str | None) -> Tree:
        return {} if commit is None else self.commits[commit].tree

    def ancestors(self, commit: str) -> set[str]:
        """A commit and all that it came from."""
        found, pending = set(), [commit]
        while pending:
            at = pending.pop()
            if at not in found:
                found.add(at)
                pending += self.commits[at].parents
        return found

    def bases(self, one: str, other: str) -> set[str]:
        """Common ancestors that are no ancestor of another one."""
        common = self.ancestors(one) & self.ancestors(other)
        return {c for c in common if not any(c != d and c in self.ancestors(d) for d in common)}

    def base_tree(self, bases: set[str]) -> Tree | None:
        """What a merge starts from; None where there are several, whose own merge is beyond this model."""
        return self.tree(next(iter(bases))) if len(bases) == 1 else None
