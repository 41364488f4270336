from __future__ import annotations

from typing import Any

import pytest

from dsvc.history.refs import RefChange
from dsvc.history.revision import RevisionRange, split_range
from dsvc.model.errors import MalformedInputError, NotFoundError

MAIN = "refs/heads/main"


@pytest.fixture
def line(repo: Any) -> Any:
    repo.made = repo.line(5)
    return repo


def resolve(repo: Any, text: str) -> Any:
    return repo.history.revisions.resolve(text)


def test_names_and_steps(line: Any) -> None:
    one, two, three, four, five = line.made
    line.move(RefChange("refs/heads/特性/一", None, three), RefChange("refs/tags/v1", None, two))
    expected = {
        "HEAD": five,
        "@": five,
        "main": five,
        "heads/main": five,
        MAIN: five,
        "特性/一": three,
        "v1": two,
        five: five,
        five.upper(): five,
        five[:12]: five,
        five[:4].upper() if len(line.history.odb.expand(five[:4])) == 1 else five: five,
        "HEAD~": four,
        "HEAD^": four,
        "HEAD~0": five,
        "HEAD^0": five,
        "HEAD~2^~": one,
        "@~4": one,
        "main^^^^": one,
        "main^{commit}~1": four,
        "v1^{}": two,
        "@{0}": five,
        "@{1}": four,
        "main@{2}": three,
        "HEAD@{4}": one,
        "@{1}~1": three,
        "@@{1}": four,
    }
    for text, commit in expected.items():
        assert resolve(line, text) == commit, text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "HEAD~5",
        "HEAD~999999999",
        "HEAD~" + "9" * 400,
        "HEAD^2",
        "HEAD^1000000000000",
        "@{99}",
        "main@{99}",
        "nothing@{0}",
        "HEAD@{-1}",
        "HEAD@{x}",
        "HEAD@{0}@{0}",
        "HEAD~1@{0}",
        "HEAD^{tree}",
        "HEAD~x",
        "HEAD:x",
        "~1",
        "^",
        "^0",
        "abcd",
        "abc",
        "f" * 40,
        "../../etc/passwd",
        "refs/../HEAD",
        "a b",
        "\0",
        "\udcff",
        "x" * 5000,
        "HEAD" + "^0" * 3000,
        "-1",
        "main..main",
        "WORKTREE",
        "STAGED",
    ],
)
def test_what_names_no_commit(line: Any, text: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        resolve(line, text)
    assert len(str(caught.value)) < 6000


def test_did_you_mean(line: Any) -> None:
    with pytest.raises(NotFoundError) as caught:
        resolve(line, "mian")
    assert caught.value.hint == "did you mean main?"


def test_head_without_a_commit_says_what_to_do(repo: Any) -> None:
    with pytest.raises(NotFoundError) as caught:
        resolve(repo, "HEAD")
    assert "dsvc commit" in str(caught.value.hint)


def test_ambiguous_digits_list_the_commits(repo: Any) -> None:
    commits: dict[str, list[Any]] = {}
    pair = None
    for n in range(1, 2000):
        commit = repo.commit(branch=None, n=n, message=f"number {n}")
        commits.setdefault(commit[:4], []).append(commit)
        if len(commits[commit[:4]]) == 2:
            pair = commits[commit[:4]]
            break
    assert pair is not None
    with pytest.raises(NotFoundError, match="ambiguous") as caught:
        resolve(repo, pair[0][:4])
    assert caught.value.details["candidates"] == sorted(pair)
    assert all(one in str(caught.value.hint) for one in pair)


def test_digits_of_trees_and_blobs_are_no_commits(line: Any) -> None:
    tree = line.git("rev-parse", "HEAD^{tree}")
    with pytest.raises(NotFoundError):
        resolve(line, tree[:10])
    with pytest.raises(MalformedInputError, match="is a tree, not a commit"):
        resolve(line, tree)


def test_annotated_tags_are_peeled(line: Any) -> None:
    history = line.history
    three = line.made[2]
    who = history.read_commit(three).author
    made = history.annotated_tag(name="v1", target=three, message="第一\n", tagger=who)
    history._writer.write(made.objects)
    line.move(*made.changes)
    again = history.annotated_tag(name="v2", target=made.id, message="m", tagger=who)
    history._writer.write(again.objects)
    line.move(*again.changes)
    for text in ("v1", "v2", "refs/tags/v1", "v1^0", "v1^{}", made.id, made.id[:10]):
        assert resolve(line, text) == three, text
    assert resolve(line, "v1~2") == line.made[0]
    assert line.git("cat-file", "-t", "v1") == "tag"
    assert line.git("rev-parse", "v2^{commit}") == three
    line.git("fsck", "--strict")


def test_a_branch_named_like_digits_is_a_branch(line: Any) -> None:
    line.move(RefChange(f"refs/heads/{line.made[0][:8]}", None, line.made[1]))
    assert resolve(line, line.made[0][:8]) == line.made[1]
    assert resolve(line, line.made[0]) == line.made[0]


def test_a_log_that_begins_late_knows_what_was_before(line: Any) -> None:
    path = line.path("logs/refs/heads/main")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[-2:]))
    for number in range(3):
        assert resolve(line, f"main@{{{number}}}") == line.made[-1 - number]
    with pytest.raises(NotFoundError, match="has 2 entries"):
        resolve(line, "main@{3}")


def test_the_reflog_of_a_branch_that_went(line: Any) -> None:
    one, two, *_ = line.made
    ref = "refs/heads/x"
    line.move(RefChange(ref, None, one))
    line.move(RefChange(ref, one, two))
    line.move(RefChange(ref, two, None))
    with pytest.raises(NotFoundError):
        resolve(line, "x")


def test_head_has_a_log_of_its_own(line: Any) -> None:
    """As for git: without a name it's the log of the branch that HEAD is on, by name that of HEAD."""
    one, two, three, four, five = line.made
    line.move(RefChange("refs/heads/topic", None, two), head="refs/heads/topic")
    line.move(RefChange("refs/heads/topic", two, three))
    expected = {"@{0}": three, "@{1}": two, "topic@{1}": two, "main@{1}": four}
    expected |= {"HEAD@{0}": three, "HEAD@{1}": two, "HEAD@{2}": five, "@@{2}": five, "HEAD@{3}": four}
    for text, commit in expected.items():
        assert resolve(line, text) == commit, text
    line.move(head=one)
    for text, commit in {
        "@{0}": one,
        "@{1}": three,
        "@{3}": five,
        "HEAD@{1}": three,
        "topic@{1}": two,
    }.items():
        assert resolve(line, text) == commit, text


def test_numbers_to_the_last_that_is_one(line: Any) -> None:
    for text in ("HEAD~", "HEAD^"):
        with pytest.raises(NotFoundError, match="there is no"):
            resolve(line, text + "999999999")
        with pytest.raises(NotFoundError, match="too large"):
            resolve(line, text + "1000000000")
    with pytest.raises(NotFoundError, match="has 5 entries"):
        resolve(line, "@{999999999}")
    with pytest.raises(NotFoundError, match="is not a revision"):
        resolve(line, "x" * 4097)
    with pytest.raises(NotFoundError, match="there is no"):
        resolve(line, "x" * 4096)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a..b", RevisionRange("a", "b", False)),
        ("a...b", RevisionRange("a", "b", True)),
        ("..b", RevisionRange("HEAD", "b", False)),
        ("a..", RevisionRange("a", "HEAD", False)),
        ("a...", RevisionRange("a", "HEAD", True)),
        ("HEAD~2..HEAD^", RevisionRange("HEAD~2", "HEAD^", False)),
        ("a", None),
        ("..", None),
        ("...", None),
        ("", None),
    ],
)
def test_ranges(text: str, expected: RevisionRange | None) -> None:
    assert split_range(text) == expected
