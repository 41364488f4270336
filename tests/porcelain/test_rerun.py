"""Runs done again: in a scratch folder to compare, in the working tree for good, and what is behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import ErasedError, NotFoundError, WouldOverwriteError
from dsvc.model.ids import ChunkId
from dsvc.model.run_record import RunId, RunKind
from dsvc.porcelain.runs.rerun import (
    Carrier,
    NotRepeatableError,
    NotRerun,
    RerunFailedError,
    RerunResult,
    check_rerun,
    rerun,
    rerun_stale,
)
from dsvc.porcelain.runs.run import run, run_manual
from dsvc.porcelain.runs.run_comparison import Sameness
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.porcelain.runs.stale import stale
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.store.erase import erase
from tests.porcelain.working import Work, text

HOW = Carrier(environ=dict(os.environ))
ROWS = "id,值\n" + "".join(f"{n},{n * n % 97}\n" for n in range(200))
KEEP = """
import os, random, sys
lines = open("raw.csv", encoding="utf-8").read().splitlines()
kept = [line for line in lines[1:] if int(line.split(",")[1]) % 2]
{more}
open("干净.csv", "w", encoding="utf-8").write("\\n".join([lines[0], *kept]) + "\\n")
"""


def script(more: str = "") -> tuple[str, bytes]:
    return text(KEEP.format(more=more))


def recorded(work: Work, more: str = "", **spec: object) -> RunTree:
    work.write({b"raw.csv": text(ROWS), b"clean.py": script(more)})
    return again(
        work,
        [sys.executable, "clean.py"],
        name="clean",
        kind=RunKind.FILTER,
        inputs=[b"raw.csv"],
        outputs=["干净.csv".encode()],
        keys={None: ("id",)},
        **spec,
    )


def again(work: Work, command: list[str], **spec: object) -> RunTree:
    done = run(work.repo, RunSpec(**spec), command, environ=HOW.environ)  # type: ignore[arg-type]
    return RunTree(work.repo.store, done.id)


def left_nothing(work: Work) -> bool:
    return os.listdir(work.repo.layout.temporary) == []


def test_the_same_bytes(work: Work) -> None:
    tree = recorded(work)
    before, seen = work.tree(), work.repo.status(untracked="all")
    found = check_rerun(work.repo, tree, HOW)
    assert found == RerunResult(run=tree.id, of=tree.id, name="clean", by=Sameness.BYTES)
    assert found.identical
    assert work.tree() == before
    assert work.repo.status(untracked="all") == seen
    assert pending_runs(work.repo.layout) == [tree.id]
    assert left_nothing(work)


def test_the_same_rows_in_another_order(work: Work) -> None:
    found = check_rerun(work.repo, recorded(work, "random.SystemRandom().shuffle(kept)"), HOW)
    assert found.by is Sameness.ROWS
    assert found.identical
    assert found.differences == ()


def test_other_rows(work: Work) -> None:
    tree = recorded(work, "kept[3] = kept[3].split(',')[0] + ',' + str(random.SystemRandom().random())")
    found = check_rerun(work.repo, tree, HOW)
    assert not found.identical
    assert found.by is None
    (difference,) = found.differences
    assert difference.path == "干净.csv".encode()
    assert difference.expected == tree.run.outputs[0].digest
    assert difference.found not in (None, difference.expected)
    assert (difference.rows_added, difference.rows_removed) == (1, 1)


def test_a_row_that_comes_once_less_is_another_multiset(work: Work) -> None:
    more = "kept += kept[:3] if os.path.exists('.dsvc') else kept[:2]"
    (difference,) = check_rerun(work.repo, recorded(work, more), HOW).differences
    assert (difference.rows_added, difference.rows_removed) == (0, 1)


def test_recorded_inputs_and_code_count_not_what_is_there_now(work: Work) -> None:
    tree = recorded(work)
    work.write({b"raw.csv": None, b"clean.py": text("raise SystemExit('another script')")})
    assert check_rerun(work.repo, tree, HOW).by is Sameness.BYTES
    work.write({b"raw.csv": text("id,值\n1,1\n"), b"clean.py": None, "干净.csv".encode(): None})
    before = work.tree()
    assert check_rerun(work.repo, tree, HOW).by is Sameness.BYTES
    assert work.tree() == before


def test_the_seed_parameters_and_the_folders_are_told(work: Work) -> None:
    more = (
        "assert os.environ['DSVC_PARAM_阈值'] == '0.5 和 1'\n"
        "random.seed(os.environ['DSVC_SEED']); random.shuffle(kept)\n"
        "assert os.path.isdir(os.environ['DSVC_RUN_DIR'])\n"
        "assert os.path.samefile(os.environ['DSVC_ROOT'], '.')"
    )
    assert check_rerun(
        work.repo, recorded(work, more, seed="7", parameters={"阈值": "0.5 和 1"}), HOW
    ).by is (Sameness.BYTES)


def test_a_secret_parameter_is_taken_from_the_environment_again(work: Work) -> None:
    more = "assert os.environ.get('DSVC_PARAM_password') == 'open sesame'"
    tree = recorded(work, more, parameters={"password": "open sesame"})
    assert tree.run.parameters["password"] == "<redacted>"
    # Nobody hands it over: the command doesn't find a word that stands for it.
    with pytest.raises(RerunFailedError):
        check_rerun(work.repo, tree, HOW)
    how = Carrier(environ={**HOW.environ, "DSVC_PARAM_password": "open sesame"})
    assert check_rerun(work.repo, tree, how).by is Sameness.BYTES
    assert rerun(work.repo, tree, how).identical


def test_a_script_named_by_its_whole_path_runs_as_recorded(work: Work) -> None:
    work.write({b"raw.csv": text(ROWS), b"clean.py": script()})
    tree = again(
        work,
        [sys.executable, str(work.folder / "clean.py")],
        name="clean",
        inputs=[b"raw.csv"],
        outputs=["干净.csv".encode()],
    )
    work.write({b"clean.py": text("raise SystemExit('another script')")})
    assert check_rerun(work.repo, tree, HOW).by is Sameness.BYTES


def test_files_of_folders_that_come_or_stay_away(work: Work) -> None:
    code = (
        "import os, secrets\n"
        "os.makedirs('out/deep', exist_ok=True)\n"
        "for name in os.listdir('in'):\n"
        "    open('out/' + name, 'w').write(open('in/' + name).read() * 2)\n"
        "open('out/deep/' + secrets.token_hex(4), 'w').write('x')\n"
    )
    work.write({b"in/a": text("a"), b"in/b": text("b"), b"draw.py": text(code)})
    tree = again(work, [sys.executable, "draw.py"], name="draw", inputs=[b"in"], outputs=[b"out"])
    gone, come = sorted(check_rerun(work.repo, tree, HOW).differences, key=lambda each: each.expected is None)
    assert gone.path.startswith(b"out/deep/")
    assert gone.found is None
    assert come.path.startswith(b"out/deep/")
    assert come.expected is None


def test_a_command_that_fails_there(work: Work) -> None:
    tree = recorded(work, "import pathlib; pathlib.Path('raw.csv').stat(); os.stat('unnamed') if 0 else 0")
    work.write({b"hidden": text("x"), b"clean.py": script("open('hidden')")})
    tree = again(
        work,
        [sys.executable, "clean.py"],
        name="clean",
        inputs=[b"raw.csv"],
        outputs=["干净.csv".encode()],
    )
    with pytest.raises(RerunFailedError) as caught:
        check_rerun(work.repo, tree, HOW)
    assert caught.value.exit_code == 1
    assert "--lookup" in str(caught.value.hint)
    assert left_nothing(work)


def test_an_input_that_was_erased(work: Work) -> None:
    tree = recorded(work)
    (entry,) = tree.input_files(0)
    erase(work.repo.store, [ChunkId(entry.digest)])
    with pytest.raises(ErasedError):
        check_rerun(work.reopen(), tree, HOW)
    assert left_nothing(work)


def test_commands_are_announced(work: Work) -> None:
    tree = recorded(work)
    told: list[Sequence[str]] = []
    how = msgspec.structs.replace(HOW, announce=told.append)
    check_rerun(work.repo, tree, how)
    rerun(work.repo, tree, how)
    assert told == [tree.run.command] * 2


def test_what_has_no_command(work: Work) -> None:
    work.write({b"a": text("a"), b"b": text("b")})
    spec = RunSpec(name="by hand", inputs=[b"a"], outputs=[b"b"])
    done = run_manual(work.repo, spec, "copied with care")
    with pytest.raises(NotRepeatableError, match="by hand: copied with care"):
        check_rerun(work.repo, RunTree(work.repo.store, done.id), HOW)


def test_a_command_that_held_a_secret(work: Work) -> None:
    work.write({b"a": text("a")})
    tree = again(
        work,
        [sys.executable, "-c", "open('b', 'w').write('b')", "--token=abcdef"],
        name="fetch",
        inputs=[b"a"],
        outputs=[b"b"],
    )
    with pytest.raises(NotRepeatableError, match="secrets"):
        check_rerun(work.repo, tree, HOW)


def test_for_good_on_what_is_there_now(work: Work) -> None:
    first = recorded(work)
    found = rerun(work.repo, first, HOW)
    assert found.by is Sameness.BYTES
    assert found.of == first.id
    assert found.run != first.id
    work.write({b"raw.csv": text(ROWS + "1000,1\n")})
    found = rerun(work.repo, first, HOW)
    (difference,) = found.differences
    assert (difference.rows_added, difference.rows_removed) == (1, 0)
    new = RunTree(work.repo.store, found.run).run
    assert new.command == first.run.command
    assert new.asked == first.run.asked
    assert new.outputs[0].key == ("id",)
    assert new.inputs[0].records == 201
    assert found.run in pending_runs(work.repo.layout)


def test_it_does_not_overwrite_what_was_edited(work: Work) -> None:
    tree = recorded(work)
    output = "干净.csv".encode()
    work.write({output: text("edited by hand\n")})
    with pytest.raises(WouldOverwriteError, match=r"干净\.csv was edited"):
        rerun(work.repo, tree, HOW)
    assert work.tree()[output] == text("edited by hand\n")
    work.repo.add(all=True)
    work.repo.commit("edited, and kept")
    rerun(work.repo, tree, HOW)
    assert work.tree()[output] != text("edited by hand\n")


IN_PLACE = "data = open('data.csv').read(); open('data.csv', 'w').write(data + '%s\\n')"


def in_place(work: Work, line: str) -> RunTree:
    return again(
        work,
        [sys.executable, "-c", IN_PLACE % line],
        name=f"append {line}",
        kind=RunKind.AUGMENT,
        inputs=[b"data.csv"],
        outputs=[b"data.csv"],
    )


def test_in_place_it_begins_from_what_was_read(work: Work) -> None:
    work.write({b"data.csv": text("id\n1\n")})
    tree = in_place(work, "2")
    assert check_rerun(work.repo, tree, HOW).by is Sameness.BYTES
    assert rerun(work.repo, tree, HOW).by is Sameness.BYTES
    assert work.tree()[b"data.csv"] == text("id\n1\n2\n"), "and not twice"


def results(work: Work, *targets: bytes) -> list[str]:
    return [each.name for each in rerun_stale(work.repo, HOW, targets) if isinstance(each, RerunResult)]


def copy(work: Work, source: str, target: str, change: str = "") -> RunTree:
    code = f"t = open('{source}').read(){change}; open('{target}', 'w').write(t)"
    return again(
        work,
        [sys.executable, "-c", code],
        name=f"make {target}",
        inputs=[source.encode()],
        outputs=[target.encode()],
    )


def test_what_is_behind_is_made_again_in_order(work: Work) -> None:
    work.write({b"a": text("1"), b"other": text("1")})
    copy(work, "a", "b")
    copy(work, "b", "c", " * 2")
    copy(work, "c", "d")
    copy(work, "other", "e")
    assert results(work) == []
    work.write({b"a": text("2"), b"other": text("2")})
    with pytest.raises(NotFoundError):
        results(work, b"nothing")
    assert results(work, b"c") == ["make b", "make c"]
    assert [each.path for each in stale(work.repo)] == [b"d", b"e"]
    assert sorted(results(work)) == ["make d", "make e"]
    assert stale(work.repo) == []
    assert work.tree()[b"d"] == text("22")


def test_what_comes_out_as_it_was_stops_there(work: Work) -> None:
    work.write({b"a": text("abc")})
    copy(work, "a", "b", "[:1]")
    copy(work, "b", "c")
    work.write({b"a": text("axy")})
    assert results(work) == ["make b"]
    assert stale(work.repo) == []


def test_what_was_changed_in_place_is_made_and_changed_again(work: Work) -> None:
    work.write({b"raw": text("id\n1\n")})
    copy(work, "raw", "data.csv")
    in_place(work, "2")
    in_place(work, "3")
    work.write({b"raw": text("id\n7\n")})
    assert results(work) == ["make data.csv", "append 2", "append 3"]
    assert work.tree()[b"data.csv"] == text("id\n7\n2\n3\n")
    assert stale(work.repo) == []


def test_what_can_not_be_done_again_is_named_and_the_rest_goes_on(work: Work) -> None:
    work.write({b"a": text("1"), b"x": text("1"), b"y": text("1")})
    manual = run_manual(work.repo, RunSpec(name="draw", inputs=[b"x"], outputs=[b"y"]), "drawn").id
    copy(work, "a", "b")
    work.write({b"a": text("2"), b"x": text("2")})
    found = list(rerun_stale(work.repo, HOW))
    assert [each.run for each in found if isinstance(each, NotRerun)] == [manual]
    assert [each.name for each in found if isinstance(each, RerunResult)] == ["make b"]


def test_a_hostile_place_is_refused(work: Work, tmp_path: Path) -> None:
    tree = recorded(work)
    assert isinstance(tree.id, RunId)
    outside = tmp_path / "outside"
    outside.mkdir()
    work.write({b"raw.csv": None})
    os.symlink(outside, work.path(b"raw.csv"))
    assert check_rerun(work.repo, tree, HOW).identical
    assert os.listdir(outside) == []
