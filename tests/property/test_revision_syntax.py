"""Revisions, merge bases and the log on random histories: the same answers as git's."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvc.history.git_writer import GitWriter, init_bare
from dsvc.history.history import History
from dsvc.history.refs import RefChange
from dsvc.history.revision import split_range
from dsvc.history.signature import Signature
from dsvc.model.errors import NotFoundError
from dsvc.model.ids import CommitId, NodeId

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

MAIN, TOPIC = "refs/heads/main", "refs/heads/topic/一"
ENVIRONMENT = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C"}
BASES = [
    "HEAD",
    "@",
    "main",
    "topic/一",
    "heads/main",
    MAIN,
    "v1",
    "tags/v1",
    "light",
    "both",
    "none",
    "topic",
]

settings.register_profile(
    "git", max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


class Drawn:
    """A random history in a folder of its own."""

    def __init__(self, root: str, parents: list[list[int]], dates: list[int], moves: list[int]) -> None:
        self.git_dir = os.path.join(root, "git")
        init_bare(self.git_dir, durable=False)
        self.history = History.open(self.git_dir, os.path.join(root, "refs.lock"), False, 10.0)
        writer = GitWriter(self.git_dir, durable=False)
        self.ids: list[CommitId] = []
        for number, (above, date) in enumerate(zip(parents, dates, strict=True)):
            who = Signature(name="a", email="b", seconds=date)
            made = self.history.commit(
                parents=[self.ids[parent] for parent in above],
                manifest=NodeId(number.to_bytes(32, "big")),
                files=number,
                bytes=0,
                message=f"number {number}",
                author=who,
                committer=who,
            )
            writer.write(made.objects)
            self.ids.append(made.id)
        self.who = Signature(name="a", email="b", seconds=1)
        tag = self.history.annotated_tag(name="v1", target=self.ids[0], message="m", tagger=self.who)
        writer.write(tag.objects)
        last = self.ids[-1]
        self.update(RefChange(MAIN, None, last), RefChange(TOPIC, None, self.ids[len(self.ids) // 2]))
        self.update(*tag.changes, RefChange("refs/tags/light", None, last))
        # A name that is a tag and a branch is the tag, as for git.
        self.update(RefChange("refs/tags/both", None, self.ids[0]), RefChange("refs/heads/both", None, last))
        for to in moves:
            self.update(RefChange(MAIN, self.history.refs.get(MAIN), self.ids[to % len(self.ids)]))

    def update(self, *changes: RefChange) -> None:
        self.history.refs.update(changes, message="move", who=self.who)

    def git(self, *arguments: str, text: str | None = None, check: bool = True) -> list[str]:
        done = subprocess.run(
            ["git", "--git-dir", self.git_dir, *arguments],
            capture_output=True,
            text=True,
            check=False,
            input=text,
            env={**os.environ, **ENVIRONMENT},
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.splitlines()

    def resolve(self, text: str) -> str | None:
        try:
            return self.history.revisions.resolve(text)
        except NotFoundError:
            return None


@st.composite
def drawn_graphs(draw: st.DrawFn) -> tuple[list[list[int]], list[int], list[int]]:
    count = draw(st.integers(1, 12))
    parents = [
        draw(st.lists(st.integers(max(0, n - 4), n - 1), max_size=3, unique=True)) if n else []
        for n in range(count)
    ]
    dates = draw(st.lists(st.integers(1, 6), min_size=count, max_size=count))
    return parents, dates, draw(st.lists(st.integers(0, 11), max_size=4))


SUFFIX = st.one_of(
    st.sampled_from(["^", "~", "^{}", "^{commit}", "^^", "~~", "^0", "~0"]),
    st.integers(0, 4).map("~{}".format),
    st.integers(0, 4).map("^{}".format),
)


@settings(settings.get_profile("git"))
@given(drawn_graphs(), st.data())
def test_revisions_are_gits(graph: tuple[list[list[int]], list[int], list[int]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as root:
        drawn = Drawn(root, *graph)
        names = [*BASES, *drawn.ids, *(id_[:9] for id_ in drawn.ids)]
        suffixes = st.lists(SUFFIX, max_size=4).map("".join)
        texts = data.draw(
            st.lists(st.builds(str.__add__, st.sampled_from(names), suffixes), min_size=30, max_size=30)
        )
        texts += names
        answers = drawn.git(
            "cat-file", "--batch-check", text="".join(f"{text}^{{commit}}\n" for text in texts)
        )
        theirs = [line.split()[0] if line.endswith(tuple("0123456789")) else None for line in answers]
        assert [drawn.resolve(text) for text in texts] == theirs, texts


@settings(settings.get_profile("git"))
@given(drawn_graphs())
def test_reflog_entries_are_gits(graph: tuple[list[list[int]], list[int], list[int]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        drawn = Drawn(root, *graph)
        count = len(drawn.history.refs.reflog(MAIN))
        texts = [f"{name}@{{{n}}}" for name in ("", "main", "HEAD", "@") for n in range(count)]
        texts += [f"{text}~1" for text in texts[:3]]
        theirs = [
            (drawn.git("rev-parse", "-q", "--verify", text, check=False) or [None])[0] for text in texts
        ]
        assert [drawn.resolve(text) for text in texts] == theirs
        assert drawn.resolve(f"main@{{{count}}}") is None


@settings(settings.get_profile("git"))
@given(drawn_graphs(), st.integers(0, 11), st.integers(0, 11))
def test_merge_bases_and_log_are_gits(
    graph: tuple[list[list[int]], list[int], list[int]], first: int, second: int
) -> None:
    with tempfile.TemporaryDirectory() as root:
        drawn = Drawn(root, *graph)
        a, b = drawn.ids[first % len(drawn.ids)], drawn.ids[second % len(drawn.ids)]
        history = drawn.history
        assert sorted(history.merge_bases(a, b)) == sorted(
            drawn.git("merge-base", "--all", a, b, check=False)
        )
        ours = [commit.id for commit in history.log([a, b])]
        assert sorted(ours) == sorted(drawn.git("rev-list", a, b))
        between = [commit.id for commit in history.log([b], exclude=[a])]
        assert sorted(between) == sorted(drawn.git("rev-list", f"{a}..{b}"))
        at = {id_: position for position, id_ in enumerate(ours)}
        assert all(at[c.id] < at[parent] for c in history.log([a, b]) for parent in c.parents)
        dates = {c.id: c.committer.seconds for c in history.log([a, b])}
        if len(set(dates.values())) == len(dates):
            assert ours == drawn.git("rev-list", "--date-order", a, b)


@given(st.text(max_size=30))
def test_any_text_is_split_or_left(text: str) -> None:
    found = split_range(text)
    if found is not None:
        assert found.left
        assert found.right
        assert ".." in text


@settings(settings.get_profile("git"), max_examples=10)
@given(st.lists(st.text(max_size=20), min_size=50, max_size=50))
def test_any_text_names_a_commit_or_none(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        drawn = Drawn(root, [[], [0]], [1, 2], [])
        for text in texts:
            assert drawn.resolve(text) in (None, *drawn.ids)
            assert drawn.resolve("HEAD" + text) in (None, *drawn.ids)
