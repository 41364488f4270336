"""Every state that a disk may be in after a crash, made from the log of what was written.

The model is that of ALICE (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014) and of
CrashMonkey (Mohan et al., "Finding Crash-Consistency Bugs with Bounded Black-Box Crash Testing", OSDI 2018):
as POSIX has it, which allows more than ext4 and xfs do.

- What a file holds is durable up to its last fsync. Of later writes any prefix may be on the disk, the last
  of them in half; or the length alone, with zeros for data or for the earlier half of it. Each file by
  itself, whatever others have.
- A name that was made, moved or taken away is durable once its folder was flushed; an fsync of the file does
  nothing for its name. Before that a crash takes it or leaves it: in `Order.JOURNAL` within one folder only
  in the order of the operations, and a rename as a whole, as in the journals of ext4, xfs and btrfs; in
  `Order.NONE` in any order, and of a rename both names may be left, though never neither.
- A symlink and the permissions of a new file come with the name.

Inode numbers and times are not modelled: a cache that trusts them finds other ones and isn't believed.
"""

from __future__ import annotations

import random
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import NamedTuple

from dsvc.testing.image import Bench, Image
from dsvc.testing.write_log import Content, FileMade, FileWrite, Flush, Foreign, NameChange, Step

Tree = Mapping[str, Content | None]
"""What a disk holds: path to content; None for a folder."""
_RANDOM_STATES = 6
_LONG_AGO = 1_000_000_000


class Order(Enum):
    """Which changes of names may reach the disk without which others."""

    JOURNAL = "journal"
    NONE = "none"


class _Pending(NamedTuple):
    """A change of names that is not durable, and the numbers of those that come with it."""

    names: tuple[tuple[int, str, int | None], ...]
    needs: frozenset[int]


class Disk:
    """What is durable, and what may be, after some steps of a log.

    Parameters
    ----------
    order : Order
        The model of names.
    flushes : bool
        Whether flushes do anything. Without them it is the disk of a program that never flushes.
    """

    def __init__(self, order: Order = Order.JOURNAL, *, flushes: bool = True) -> None:
        self._order = order
        self._flushes = flushes
        self._names: dict[int, dict[str, int]] = {0: {}}
        self._contents: dict[int, Content] = {}
        self._writes: dict[int, list[FileWrite]] = {}
        self._pending: dict[int, _Pending] = {}
        self._last: dict[int, int] = {}
        self._count = 0

    def take(self, step: Step) -> None:
        """Carry out a step of the log."""
        if isinstance(step, FileMade):
            self._contents[step.file] = step.content
        elif isinstance(step, FileWrite):
            self._writes.setdefault(step.file, []).append(step)
        elif isinstance(step, NameChange):
            self._change(step)
        elif isinstance(step, Foreign):
            self._foreign(step)
        elif self._flushes:
            self._flush(step)

    def _change(self, step: NameChange) -> None:
        if self._order is Order.JOURNAL:
            needs = {self._last[folder] for folder, _, _ in step.names if folder in self._last}
            self._add(step.names, needs)
            return
        before: set[int] = set()
        # The new name of a rename comes first: the old one doesn't go without it.
        for name in step.names:
            before = {self._add((name,), before)}

    def _add(self, names: tuple[tuple[int, str, int | None], ...], needs: set[int]) -> int:
        self._count += 1
        self._pending[self._count] = _Pending(names, frozenset(needs & self._pending.keys()))
        for folder, _, _ in names:
            self._last[folder] = self._count
        return self._count

    def _flush(self, step: Flush) -> None:
        if not step.folder:
            for write in self._writes.pop(step.node, ()):
                self._contents[write.file] = write.on(self._contents[write.file])
            return
        self._make_durable(n for n, p in self._pending.items() if any(f == step.node for f, _, _ in p.names))

    def _make_durable(self, numbers: Iterable[int]) -> None:
        for number in sorted(self._closure(numbers)):
            _apply(self._names, self._pending.pop(number).names)

    def _foreign(self, step: Foreign) -> None:
        """What others changed is durable, with the folders that it stands in."""
        self._contents.update(step.contents)
        places = {(folder, name) for folder, name, _ in step.names}
        # What was there before them came first.
        self._make_durable(
            n for n, p in self._pending.items() if any((f, name) in places for f, name, _ in p.names)
        )
        above = {folder for folder, _, _ in step.names}
        while True:
            found = {n for n, p in self._pending.items() if any(node in above for _, _, node in p.names)}
            if not found:
                break
            above |= {folder for n in found for folder, _, _ in self._pending[n].names}
            self._make_durable(found)
        _apply(self._names, step.names)

    def _closure(self, numbers: Iterable[int]) -> set[int]:
        found: set[int] = set()
        left = list(numbers)
        while left:
            number = left.pop()
            if number in self._pending and number not in found:
                found.add(number)
                left += self._pending[number].needs
        return found

    # The states

    def states(self, rng: random.Random, limit: int | None = None) -> Iterator[Tree]:
        """States that the disk may be in now: the extremes, each name alone or missing, some at random.

        The same state may come twice. With a `limit` it is that many of them.
        """
        plans = self._plans(rng)
        for plan in plans if limit is None or limit > len(plans) else rng.sample(plans, limit):
            yield plan()

    def _plans(self, rng: random.Random) -> list[Callable[[], Tree]]:
        everything = frozenset(self._pending)

        def alone(number: int) -> Tree:
            return self.tree(self._closure([number]), self._random_contents(rng))

        def without(number: int) -> Tree:
            left = (n for n in everything if number not in self._closure([n]))
            return self.tree(left, self._random_contents(rng))

        def mixed() -> Tree:
            share = rng.random()
            chosen = [n for n in self._pending if rng.random() < share]
            return self.tree(self._closure(chosen), self._random_contents(rng))

        plans: list[Callable[[], Tree]] = [partial(self._alike, everything, kind) for kind in range(-1, 4)]
        plans += [partial(self._alike, frozenset(), -1), partial(self._alike, frozenset(), 0)]
        for number in self._pending:
            plans += [partial(alone, number), partial(without, number)]
        if self._pending or self._writes:
            plans += [mixed] * _RANDOM_STATES
        return plans

    def _alike(self, kept: Iterable[int], kind: int) -> Tree:
        return self.tree(kept, self._kind(kind))

    def _kind(self, kind: int) -> dict[int, Content]:
        """All files that are not flushed, treated alike."""
        found = {}
        for file in self._writes:
            possible = self._variants(file)
            found[file] = possible[min(kind, len(possible) - 1)]
        return found

    def _random_contents(self, rng: random.Random) -> dict[int, Content]:
        return {file: rng.choice(self._variants(file)) for file in self._writes}

    def _variants(self, file: int) -> list[Content]:
        """What a file may hold: what is durable, zeroed or torn data, some prefixes, at the end all of it."""
        durable, writes = self._contents[file], self._writes[file]
        prefixes = [durable]
        for write in writes:
            prefixes.append(write.on(prefixes[-1]))
        last, whole = writes[-1], prefixes[-1]
        torn = last._replace(data=last.data[: len(last.data) // 2], size=None).on(prefixes[-2])
        found = [durable, _zeroed(durable, writes, 1), torn, _zeroed(durable, writes, 2)]
        return [*found, *prefixes[1:-1][:: max(1, len(prefixes) // 3)], whole]

    def tree(self, kept: Iterable[int], contents: Mapping[int, Content]) -> dict[str, Content | None]:
        """The state with some of the pending names, and with contents of files that are not flushed."""
        names = {}
        for number in sorted(kept):
            for folder, name, node in self._pending[number].names:
                if folder not in names:
                    names[folder] = dict(self._names.get(folder, {}))
                _apply(names, ((folder, name, node),))
        found: dict[str, Content | None] = {}
        self._walk(0, "", names, contents, found)
        return found

    def _walk(
        self,
        folder: int,
        path: str,
        names: Mapping[int, Mapping[str, int]],
        contents: Mapping[int, Content],
        found: dict[str, Content | None],
    ) -> None:
        entries = names[folder] if folder in names else self._names.get(folder, {})
        for name, node in entries.items():
            if node in contents:
                found[path + name] = contents[node]
            elif node in self._contents:
                found[path + name] = self._contents[node]
            else:
                found[path + name] = None
                self._walk(node, f"{path}{name}/", names, contents, found)


def _apply(names: dict[int, dict[str, int]], changes: Sequence[tuple[int, str, int | None]]) -> None:
    for folder, name, node in changes:
        entries = names.setdefault(folder, {})
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def _zeroed(durable: Content, writes: Sequence[FileWrite], parts: int) -> Content:
    """The length that was written, with zeros for all (or for the first half) of the data of each write."""
    found = durable
    for write in writes:
        zeros = bytes(len(write.data) // parts)
        found = write._replace(data=zeros + write.data[len(zeros) :]).on(found)
    return found


def fingerprint(tree: Tree) -> int:
    """A number that equal trees share; what a pack holds that never got its name makes no difference."""
    return hash(
        frozenset(
            (path, None if path.startswith(".dsvc/tmp/pack-") else content) for path, content in tree.items()
        )
    )


def image(tree: Tree) -> Image:
    """A state as an image, to be laid out."""
    folders: dict[str, int] = {}
    files: dict[str, tuple[int, bytes]] = {}
    links: dict[str, bytes] = {}
    for path, content in tree.items():
        if content is None:
            folders[path] = 0o755
        elif stat.S_ISLNK(content.mode):
            links[path] = content.data
        else:
            files[path] = (content.mode, content.data)
    return Image.holding(folders, files, links)


def bench(root: str) -> Bench:
    """A folder to lay states out in; their files are older than the machine's last start."""
    return Bench(root, mtime=_LONG_AGO)
