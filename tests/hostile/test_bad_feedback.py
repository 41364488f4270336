"""What is wrong with a result file or a repair: a typed answer, and all refs and files as they were."""

from __future__ import annotations

import io
import os
import resource
import shutil
import sys
from pathlib import Path

import pytest

from dsvc.feedback.importers.importer import MAX_DOCUMENT_BYTES
from dsvc.model.defect import DefectStatus, DefectVerb
from dsvc.model.errors import DsvcError
from dsvc.porcelain.records import defect_chain
from dsvc.porcelain.records.feedback_chain import observations
from dsvc.porcelain.records.repair_chain import repair_ids
from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import tree_state
from dsvc.testing.faults import run_in_child, tried
from tests.faultkit import open_in
from tests.feedback_mutations import FILES, damaged_bytes
from tests.feedbackkit import FeedbackLab
from tests.loop_scenarios import COMMANDS, words

BAD = {"row": {"id": 7}, "symptom": "wrong-label"}


@pytest.fixture
def lab(tmp_path: Path) -> FeedbackLab:
    return FeedbackLab(tmp_path)


class Unchanged:
    """Refs, HEAD, what is staged and all files are after a block as before it, and the answer is typed."""

    def __init__(self, lab: FeedbackLab, code: str, exit_code: int) -> None:
        self.lab, self.wanted = lab, (code, exit_code)

    def state(self) -> object:
        repo = open_in(str(self.lab.root))
        try:
            refs = {name: str(tip) for name, tip in repo.history.refs.list().items()}
            return refs, repo.history.refs.head().text, repo.staged().root, tree_state(str(self.lab.root))
        finally:
            repo.backend.forget()

    def __enter__(self) -> None:
        self.before = self.state()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        assert isinstance(error, DsvcError), error
        assert (error.code, error.exit_code) == self.wanted, error
        assert self.state() == self.before
        tried("hostile cases")
        return True


def test_feedback_for_another_commit(lab: FeedbackLab) -> None:
    old = str(lab.repo.history.refs.head().commit)
    lab.write("a.jsonl", lab.rows[2:])
    lab.commit("second")
    with Unchanged(lab, "foreign-feedback", 2):
        lab.take({"suite": "s", "data_commit": old}, BAD)
    with Unchanged(lab, "foreign-feedback", 2):
        lab.take({"suite": "s"}, {"ref": f"{old}:a.jsonl#id=7", "symptom": "x"})
    with Unchanged(lab, "nothing-resolved", 14):
        lab.take({"suite": "s"}, {"ref": f"{'1' * 40}:a.jsonl#id=7", "symptom": "x"})


def test_contradictory_observations(lab: FeedbackLab) -> None:
    with Unchanged(lab, "contradictory-feedback", 41):
        lab.take({"suite": "s"}, BAD, {"row": {"id": 7}, "passed": True})
    with Unchanged(lab, "contradictory-feedback", 41):
        lab.take({"suite": "s"}, {**BAD, "metric": "m", "value": 0}, {**BAD, "metric": "m", "value": 1})


def test_an_evaluation_that_claims_what_its_samples_do_not_show(lab: FeedbackLab) -> None:
    claim = {"suite": "s", "metrics": [{"name": "accuracy", "value": 1.0, "n": 2}]}
    passed = {"row": {"id": 8}, "metric": "accuracy", "value": 1, "passed": True}
    with Unchanged(lab, "unsupported-claim", 41):
        lab.take(claim, {**BAD, "metric": "accuracy", "value": 0}, passed)


TOOLS = {
    "lm-eval": "lm_eval", "inspect": "inspect", "promptfoo": "promptfoo", "deepeval": "deepeval",
    "evidently": "evidently", "mlflow": "mlflow", "junit": "junit",
}  # fmt: skip
PLAIN = {
    "jsonl": b'{"suite": "s"}\n{"row": {"id": 7}, "symptom": \n',
    "csv": b"row.id,symptom\n7,x\n8,\x00\xff\xfe\n",
}


@pytest.mark.parametrize("tool", [*TOOLS, *PLAIN])
def test_malformed_files_of_every_tool(lab: FeedbackLab, tool: str) -> None:
    if tool in PLAIN:
        whole = PLAIN[tool]
    else:
        endings = {".json", ".jsonl", ".xml", ".eval"}
        named = [p for p in sorted((FILES / TOOLS[tool]).rglob("*")) if p.suffix in endings]
        whole = next(p for p in named if p.name != "inspect_reads.json").read_bytes()
        whole = whole[: len(whole) * 2 // 3]
    path = lab.files / "result"
    path.write_bytes(whole)
    with Unchanged(lab, "malformed-feedback", 41):
        lab.repo.feedback_import(str(path), subject="a.jsonl", suite="s", format=tool)
    path.write_bytes(b"\x00" * 100)
    with Unchanged(lab, "malformed-feedback", 41):
        lab.repo.feedback_import(str(path), subject="a.jsonl", suite="s", format=tool)


@pytest.mark.parametrize("tool", ["deepeval", "junit", "promptfoo"])
def test_a_document_that_is_too_long_is_refused_unread(lab: FeedbackLab, tool: str) -> None:
    path = lab.files / "result"
    path.write_bytes(b'{"results": [' if tool != "junit" else b"<testsuites>")
    os.truncate(path, MAX_DOCUMENT_BYTES + 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Unchanged(lab, "malformed-feedback", 41):
        lab.repo.feedback_import(str(path), subject="a.jsonl", suite="s", format=tool)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def _large(path: Path, lines: int, size: int, last: bytes) -> None:
    """A file of so many lines about a row that passed, or failed, each with a long text."""
    with open(path, "wb") as file:
        file.write(b'{"suite": "s"}\n')
        for number in range(lines):
            what = b'"passed": true' if number % 20 else b'"symptom": "x"'
            row = number % 20
            file.write(b'{"row": {"id": %d}, %s, "evidence": "%s"}\n' % (row, what, b"e" * size))
        file.write(last)


@pytest.mark.parametrize(
    ("lines", "most"),
    [
        pytest.param(400, 160, id="40 MB"),
        pytest.param(10_500, 400, id="1 GB", marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("last", [b"", b'{"row": {"id": 1}, "symptom": '], ids=["whole", "torn"])
def test_a_very_large_file_of_lines_takes_little_memory(
    lab: FeedbackLab, lines: int, most: int, last: bytes
) -> None:
    path = lab.files / "result.jsonl"
    _large(path, lines, 100_000, last)

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (_held() + (most << 20), resource.RLIM_INFINITY))
        done = lab.repo.feedback_import(str(path), subject="a.jsonl", suite="s")
        found = list(observations(lab.repo, done.feedback))
        assert len(found) == lines // 20
        assert max(len(each.evidence or "") for each in found) < 5000

    before = lab.refs()
    outcome = run_in_child(work)
    if last:
        assert getattr(outcome.error, "code", None) == "malformed-feedback", outcome
        assert lab.refs() == before
    else:
        assert outcome.error is None, outcome


def _held() -> int:
    """Bytes of data that this process holds."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[5]) * resource.getpagesize()


def test_names_and_texts_beyond_all_measure(lab: FeedbackLab) -> None:
    """Refused, or cut: what is recorded can be read again."""
    for field in ("symptom", "slice", "metric"):
        with Unchanged(lab, "malformed-feedback", 41):
            lab.take({"suite": "s"}, {**BAD, "value": 0, field: "x" * 70_000})
    done = lab.take({"suite": "s"}, {**BAD, "evidence": "e" * 1_000_000, "explanation": "中" * 70_000})
    (found,) = observations(lab.repo, done.feedback)
    assert found.evidence is not None
    assert len(found.evidence) == 4096
    assert lab.repo.fsck().ok


# Repairs


def _flagged(lab: FeedbackLab) -> str:
    lab.put("dsvc.toml", '[tables."*.jsonl"]\nkey = ["id"]\n')
    lab.commit("keys")
    (defect,) = lab.take({"suite": "s"}, BAD, {"row": {"id": 8}, "symptom": "wrong-label"}).defects
    return defect


def test_h60_a_repair_that_would_touch_unflagged_rows(lab: FeedbackLab) -> None:
    defect, patch = _flagged(lab), lab.files / "p.csv"
    patch.write_text("id,label\n7,9\n3,9\n")
    with Unchanged(lab, "unflagged-rows", 2):
        lab.repo.repair_plan(defect, patch=str(patch))


def test_a_plan_made_stale_by_a_newer_commit(lab: FeedbackLab) -> None:
    from dsvc.porcelain.runs.rerun import Carrier

    repair = lab.repo.repair_plan(_flagged(lab), values={"label": "9"}).state.id
    lab.put("b.txt", "x")
    lab.commit("newer")
    with Unchanged(lab, "stale-plan", 13):
        lab.repo.repair_apply(repair, Carrier(environ={}))


def test_two_people_repair_one_defect_at_once(fast_path: Path) -> None:
    """Two plans of one defect, applied by two processes: one is; the other says why not."""
    from dsvc.porcelain.runs.rerun import Carrier

    root = str(fast_path / "case")
    os.makedirs(root)
    COMMANDS["repair-apply"][0](root)
    repo = open_in(root)
    (first,) = repair_ids(repo)
    defect = next(each.id for each in repo.defects() if each.symptom == "wrong-label")
    second = repo.repair_plan(defect, drop=True).state.id
    repo.backend.forget()
    pids = []
    for repair in (first, second):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                done = run_in_child(lambda id_=repair: open_in(root).repair_apply(id_, Carrier(environ={})))  # type: ignore[misc]
                code = 0 if done.error is None else getattr(done.error, "exit_code", 1)
            finally:
                os._exit(code)
        pids.append(pid)
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)
    assert codes == [0, 13]
    repo = open_in(root)
    assert len(repo.history.refs.list("refs/heads/repair/")) == 1
    assert repo.defect(defect).status is DefectStatus.REPAIRING
    assert repo.fsck().ok
    assert words(root)


def test_two_copies_repair_one_defect(lab: FeedbackLab, tmp_path: Path) -> None:
    """Both repairs are known afterwards, and the defect is closed by neither."""
    defect = _flagged(lab)
    lab.repo.close()
    shutil.copytree(lab.root, tmp_path / "copy")
    other = Repository(str(tmp_path / "copy"))
    repos = {"r-00000001": lab.repo, "r-00000002": other}
    for repair, repo in repos.items():
        with repo.changing():
            defect_chain.operate(repo, defect, DefectVerb.REPAIR, repair=repair, commit="c" * 40)
        repo.close()
    for name in ("git/objects", "packs"):
        shutil.copytree(os.path.join(other.path, name), os.path.join(lab.repo.path, name), dirs_exist_ok=True)
    repo = open_in(str(lab.root))
    state = defect_chain.merge(repo, defect, defect_chain.DEFECTS.head(other, defect)).state
    assert (state.status, set(state.repairs)) == (DefectStatus.REPAIRING, set(repos))
    assert repo.fsck().ok


# Readers, on files that were changed


@pytest.mark.parametrize("tool", TOOLS)
def test_changed_files_are_imported_or_refused(tool: str) -> None:
    from dsvc.feedback.importers.importer import FeedbackMalformedError, ImportOptions
    from dsvc.feedback.importers.registry import by_name

    endings = {".json", ".jsonl", ".xml", ".eval"}
    named = [p for p in sorted((FILES / TOOLS[tool]).rglob("*")) if p.suffix in endings]
    path = next(p for p in named if p.name != "inspect_reads.json")
    whole = path.read_bytes()
    refused = 0
    for seed in range(12):
        data = damaged_bytes(whole, seed)
        try:
            read = by_name(tool).read(lambda data=data: io.BytesIO(data), ImportOptions(file_name=path.name))  # type: ignore[misc]
            assert sum(1 for _ in read.samples) < 1000
        except FeedbackMalformedError:
            refused += 1
    assert refused
    assert sys.getrecursionlimit() >= 1000
