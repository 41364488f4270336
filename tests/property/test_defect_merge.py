"""Chains of a defect that went two ways: united in any order they are one and the same defect."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.feedback.defect_state import DefectState, DefectStep, check_step, compile_state
from dsvc.lineage.row_set import decode_rows, encode_rows
from dsvc.model.defect import DefectOperation, DefectStatus, DefectVerb, FlaggedRows
from dsvc.model.errors import UsageError
from dsvc.model.feedback import DefectSeverity
from dsvc.model.ids import CommitId

DIGEST = bytes(range(32))
Chain = dict[CommitId, DefectStep]


def rows_of(*numbers: int) -> tuple[FlaggedRows, ...]:
    rows = np.array(numbers, np.int64)
    return (FlaggedRows(path=b"a.csv", digest=DIGEST, rows=encode_rows(rows), count=len(set(numbers))),)


class World:
    """Copies of one defect, each with the operations that it knows."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._made = 0

    def step(self, chain: Chain, heads: Sequence[CommitId], **fields: object) -> CommitId:
        """Add an operation on some heads; its commit is unlike any other one."""
        self._made += 1
        commit = CommitId(f"{self._random.getrandbits(160):040x}")
        clock = max((chain[head].operation.clock for head in heads), default=0) + 1
        plain = DefectOperation(verb=DefectVerb.OPEN, clock=clock, at=f"t{self._made}", by="Ada <a@b>")
        chain[commit] = DefectStep(commit, msgspec.structs.replace(plain, **fields), tuple(heads))
        return commit

    def opened(self) -> tuple[Chain, CommitId]:
        chain: Chain = {}
        head = self.step(
            chain,
            [],
            path=b"a.csv",
            symptom="x",
            severity=DefectSeverity.P2,
            rows=rows_of(1, 2),
            feedback="f1",
        )
        return chain, head

    def act(self, chain: Chain, head: CommitId) -> CommitId:
        """Do something that the state there allows, by chance."""
        choices: list[dict[str, object]] = [
            {"verb": DefectVerb.EXTEND, "rows": rows_of(*self._numbers()), "feedback": f"f{self._number()}"},
            {"verb": DefectVerb.EXTEND, "rows": rows_of(9), "severity": DefectSeverity.P1, "feedback": "f9"},
            {"verb": DefectVerb.CONFIRM},
            {"verb": DefectVerb.REJECT, "reason": "no"},
            {"verb": DefectVerb.GRADE, "severity": self._random.choice(list(DefectSeverity)), "reason": "r"},
            {"verb": DefectVerb.ASSIGN, "to": f"p{self._number()}"},
            {"verb": DefectVerb.COMMENT, "reason": "c"},
            {"verb": DefectVerb.SPLIT, "rows": rows_of(*self._numbers()), "others": ("d-00000001",)},
            {"verb": DefectVerb.JOIN, "rows": rows_of(*self._numbers()), "others": ("d-00000002",)},
            {"verb": DefectVerb.JOIN, "others": ("d-00000003",)},
            {"verb": DefectVerb.REPAIR, "repair": f"r-{self._number():08x}"},
            {"verb": DefectVerb.VERIFY},
            {"verb": DefectVerb.RETURN},
            {"verb": DefectVerb.REOPEN, "reason": "again"},
        ]
        self._random.shuffle(choices)
        state = compile_state("d-12345678", list(chain.values()))
        for fields in choices:
            try:
                check_step(state, fields["verb"])  # type: ignore[arg-type]
            except UsageError:
                continue
            return self.step(chain, [head], **fields)
        raise AssertionError("a comment is always possible")

    def _number(self) -> int:
        return self._random.randrange(5)

    def _numbers(self) -> list[int]:
        return [self._number() for _ in range(self._random.randrange(1, 4))]

    def merge(self, ours: tuple[Chain, CommitId], theirs: tuple[Chain, CommitId]) -> tuple[Chain, CommitId]:
        chain = {**ours[0], **theirs[0]}
        return chain, self.step(chain, [ours[1], theirs[1]], verb=DefectVerb.MERGE)


def essence(chain: Chain) -> DefectState:
    """The state, but for the clock and the parents, which tell by which way copies were united."""
    state = compile_state("d-12345678", list(chain.values()))
    history = tuple(step._replace(parents=()) for step in state.history)
    return msgspec.structs.replace(state, history=history, clock=0)


def numbers(state: DefectState) -> set[int]:
    return {row for part in state.rows for row in decode_rows(part.rows).tolist()}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.lists(st.integers(0, 4), min_size=3, max_size=3), st.integers(0, 3))
def test_copies_unite_in_any_order(seed: int, lengths: list[int], shared: int) -> None:
    world = World(seed)
    chain, head = world.opened()
    for _ in range(shared):
        head = world.act(chain, head)
    copies = []
    for length in lengths:
        own, at = dict(chain), head
        for _ in range(length):
            at = world.act(own, at)
        copies.append((own, at))
    a, b, c = copies
    left = world.merge(world.merge(a, b), c)
    right = world.merge(a, world.merge(c, b))
    assert essence(left[0]) == essence(right[0])
    assert essence(world.merge(b, a)[0]) == essence(world.merge(a, b)[0])
    assert essence(world.merge(a, a)[0]) == essence(a[0])
    # Two copies that took each other's operations agree, and go on agreeing.
    one, two = world.merge(a, b), world.merge(b, a)
    both = world.merge(one, two)
    assert essence(both[0]) == essence(one[0]) == essence(two[0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(0, 4), st.integers(0, 4))
def test_the_stricter_side_holds(seed: int, mine: int, theirs: int) -> None:
    world = World(seed)
    chain, head = world.opened()
    copies = []
    for length in (mine, theirs):
        own, at = dict(chain), head
        for _ in range(length):
            at = world.act(own, at)
        copies.append((own, at))
    ours, other = (essence(own) for own, _ in copies)
    united = essence(world.merge(*copies)[0])
    assert united.worst_severity == min(ours.worst_severity, other.worst_severity)
    assert united.severity >= united.worst_severity
    # What one side did after the parting, and the other did not see, is not undone by it.
    touched = [own for own, length in ((ours, mine), (other, theirs)) if length]
    if any(each.status is DefectStatus.REOPENED for each in touched) and len(touched) == 2:
        assert united.status.is_open
    closed = (DefectStatus.VERIFIED, DefectStatus.REJECTED)
    if united.status in closed:
        assert any(each.status in closed for each in (ours, other))
    assert numbers(united) <= numbers(ours) | numbers(other)


def test_a_line_of_operations_is_its_last_words() -> None:
    world = World(1)
    chain, head = world.opened()
    for fields in (
        {"verb": DefectVerb.CONFIRM},
        {"verb": DefectVerb.GRADE, "severity": DefectSeverity.P1},
        {"verb": DefectVerb.GRADE, "severity": DefectSeverity.P3},
        {"verb": DefectVerb.ASSIGN, "to": "a"},
        {"verb": DefectVerb.ASSIGN, "to": "b", "due": "2026-12-01"},
        {"verb": DefectVerb.REPAIR, "repair": "r-00000001"},
        {"verb": DefectVerb.VERIFY, "repair": "r-00000001", "feedback": "f2"},
    ):
        head = world.step(chain, [head], **fields)
    state = compile_state("d-12345678", list(chain.values()))
    assert (state.status, state.severity) == (DefectStatus.VERIFIED, DefectSeverity.P3)
    assert (state.worst_severity, state.blocking, state.is_open) == (DefectSeverity.P1, False, False)
    assert (state.assignee, state.due, state.repairs) == ("b", "2026-12-01", ("r-00000001",))
    assert state.feedbacks == ("f1",)


def test_observations_beside_a_rejection_keep_it_open() -> None:
    world = World(2)
    chain, head = world.opened()
    confirmed = world.step(chain, [head], verb=DefectVerb.CONFIRM)
    rejected = world.step(chain, [confirmed], verb=DefectVerb.REJECT, reason="no")
    extended = world.step(chain, [confirmed], verb=DefectVerb.EXTEND, rows=rows_of(5), feedback="f2")
    merged = world.step(chain, [rejected, extended], verb=DefectVerb.MERGE)
    state = compile_state("d-12345678", list(chain.values()))
    assert (state.status, numbers(state)) == (DefectStatus.CONFIRMED, {1, 2, 5})
    world.step(chain, [merged], verb=DefectVerb.REJECT, reason="seen all")
    assert compile_state("d-12345678", list(chain.values())).status is DefectStatus.REJECTED


def test_a_split_takes_only_rows_that_it_knew_of() -> None:
    world = World(3)
    chain, head = world.opened()
    world.step(chain, [head], verb=DefectVerb.SPLIT, rows=rows_of(1), others=("d-00000009",))
    world.step(chain, [head], verb=DefectVerb.EXTEND, rows=rows_of(1, 3), feedback="f2")
    state = compile_state("d-12345678", list(chain.values()))
    assert numbers(state) == {1, 2, 3}
