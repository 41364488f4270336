"""What others wrote into results, defects and releases commands no terminal, page, card or document."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

from dsvc.cli.main import run as dsvc
from dsvc.model.errors import DsvcError
from dsvc.porcelain.state.user_hooks import UserHooks
from dsvc.testing.faults import tried
from tests.faultkit import open_in, repository, write
from tests.feedbackkit import FeedbackLab
from tests.hostile.test_terminal import COLOR, CONTROL
from tests.loop_scenarios import COMMANDS

MARKUP = "<script>alert(2)</script> & '\" --- owned: yes # H [x](javascript:alert(1))"
EVIL = "\x1b]52;c;ZXZpbA==\x07\x1b[31mred\r\x9b2K \u202e\u2066" + MARKUP + "\n---\nowned: yes\n# H"
NAME = "\x1b[2J\u202e<script>.jsonl"


class Lab(FeedbackLab):
    """A table with an evil name and evil cells, of which an evaluation says evil things."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        rows = [{"id": n, "text": EVIL, "who": EVIL if n < 6 else "b"} for n in range(20)]
        self.write(NAME, rows)
        self.put("dsvc.toml", "[tables.'*.jsonl']\nkey = ['id']\nannotator = 'who'\n")
        self.commit("evil " + EVIL)

    def take_evil(self) -> str:
        said = {"symptom": EVIL, "severity": "P1", "evidence": EVIL, "explanation": EVIL, "slice": EVIL}
        lines = [
            {"suite": EVIL, "model": EVIL, "run_id": EVIL, "seed": EVIL,
             "metrics": [{"name": EVIL, "value": 0.5, "unit": EVIL, "task": EVIL}]},
            *({"path": NAME, "row": {"id": n}, "metric": EVIL, "value": 0, **said} for n in range(6)),
            *(
                {"path": NAME, "row": {"id": n}, "metric": EVIL, "value": 1, "passed": True}
                for n in range(6, 20)
            ),
            {"path": NAME, "row": {EVIL: EVIL}, **said},
            {"path": NAME, "where": "who == '" + EVIL.replace("'", "''") + "' and nothing = 1", **said},
        ]  # fmt: skip
        path = self.result(*lines, name="\x1b[31m\u202e结果\n.jsonl")
        found = self.repo.feedback_import(path, subject=f"HEAD:{NAME}", suite=EVIL, model=EVIL)
        (defect,) = found.defects
        self.repo.defect_comment(defect, EVIL)
        self.repo.defect_assign(defect, EVIL)
        self.repo.close()
        return defect


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.chdir(tmp_path)
    return Lab(tmp_path)


def said(capsys: pytest.CaptureFixture[str], root: object, *words: str, codes: tuple[int, ...] = (0,)) -> str:
    capsys.readouterr()
    code = dsvc(["-C", str(root), *words])
    found = capsys.readouterr()
    assert code in codes, (words, found.err)
    assert "Traceback" not in found.err
    return found.out + found.err


def plain(text: str) -> None:
    assert not CONTROL.search(COLOR.sub(b"", text.encode())), text
    tried("hostile cases")


def test_h54_texts_for_people_and_programs(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    defect = lab.take_evil()
    feedback = lab.repo.feedbacks()[0].id
    root = lab.root
    plan = said(capsys, root, "repair", "plan", "--json", defect, "--set", "text=y" + EVIL)
    repair = json.loads(plan.splitlines()[-1])["repair"]
    shows = [
        ["feedback", "list"],
        ["feedback", "show", feedback],
        ["defect", "list"],
        ["defect", "show", defect],
        ["repair", "list"],
        ["repair", "show", repair],
        ["repair", "plan", defect, "--set", "text=x" + EVIL],
        ["repair", "plan", defect, "--drop"],
        ["repair", "apply", repair],
        ["log", "--graph", "--all"],
        ["trace", f"defect:{defect}"],
        ["op", "log"],
    ]
    for words in shows:
        plain(said(capsys, root, *words, codes=(0, 2)))
        if words[0] in ("feedback", "defect", "repair") and "apply" not in words:
            for line in said(capsys, root, *words[:2], "--json", *words[2:]).splitlines():
                json.loads(line)


def test_h52_the_page_of_a_defect_runs_nothing(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    defect = lab.take_evil()
    page = lab.files / "page.html"
    plain(said(capsys, lab.root, "defect", "show", defect, "--html", str(page)))
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text.lower()
    assert "&lt;script&gt;" in text
    assert "default-src 'none'" in text
    plain(text)
    for outside in ("http:", "https:", "src=", "href=", "url(", "@import", " onload"):
        assert outside not in text.lower(), outside


def test_h54_the_documents_of_a_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    root = str(tmp_path / "case")
    os.mkdir(root)
    COMMANDS["release-create"][0](root)
    repo = open_in(root)
    repo.source_set("words", fields={"title": MARKUP})
    repo.commit("evil", all=True, allow_empty=True)
    repo.backend.forget()
    write(tmp_path, {b"notes.md": EVIL.encode()})
    words = ["--title", EVIL, "--description", EVIL, "--contact", EVIL, "--url", EVIL, "--consumer", EVIL]
    plain(said(capsys, root, "release", "create", "v1", *words, "--notes", str(tmp_path / "notes.md")))
    for each in (["release", "list"], ["release", "show", "v1"], ["release", "verify", "v1"]):
        plain(said(capsys, root, *each))
    plain(said(capsys, root, "release", "announce", "v1", "--to", "x" + EVIL, "--reason", EVIL))
    plain(said(capsys, root, "release", "withdraw", "v1", "--reason", EVIL, "--yes", codes=(0, 2)))
    plain(said(capsys, root, "tag", "-l", codes=(0, 2)))
    with repository(root) as repo:
        documents = {n: repo.release_document("v1", n).decode() for n in ("README.md", "croissant.json")}
        lines = repo.release_document("v1", "statement.jsonl").decode().splitlines()
    _, front, body = documents["README.md"].split("---\n", 2)
    found = yaml.safe_load(front)
    assert "owned" not in found
    assert "alert(2)" in found["pretty_name"]
    assert "\n# H" not in body
    assert "<script" not in body
    plain(documents["README.md"])
    json.loads(documents["croissant.json"])
    for line in lines:
        assert json.loads(line)["_type"] == "https://in-toto.io/Statement/v1"


# Paths and names


def refused(error: DsvcError) -> None:
    assert error.exit_code in (2, 14, 41)
    plain(str(error).replace("\n", " "))


@pytest.mark.parametrize(
    "path",
    ["../a.jsonl", "/etc/passwd", "a.jsonl\0", ".dsvc/config", "图/../a.jsonl", "", "a//b", ".", "./a.jsonl"],
)
def test_paths_of_result_files_lead_nowhere_else(tmp_path: Path, path: str) -> None:
    lab = FeedbackLab(tmp_path)
    before = lab.refs()
    lines = [{"suite": "s"}, {"path": path, "position": 1, "symptom": "x"}]
    with pytest.raises(DsvcError) as caught:
        lab.take(*lines, subject="HEAD:")
    assert caught.value.exit_code in (14, 41)
    assert lab.refs() == before


@pytest.mark.parametrize(
    "ref",
    [
        "0" * 40 + ":a.jsonl#id=1",
        "HEAD:../a.jsonl#id=1",
        "HEAD:/etc/passwd#@0",
        "-x:a.jsonl#id=1",
        "HEAD@{u}^{/x}:a.jsonl#id=1",
        "refs/../HEAD:a.jsonl#id=1",
        "HEAD:a.jsonl#id=1,id=2",
        "\x1b[2J:a.jsonl#id=1",
        "HEAD:a.jsonl#@99999999999999999999",
    ],
)
def test_references_to_what_is_not_here(tmp_path: Path, ref: str) -> None:
    lab = FeedbackLab(tmp_path)
    before = lab.refs()
    with pytest.raises(DsvcError) as caught:
        lab.take({"suite": "s"}, {"ref": ref, "symptom": "x"})
    refused(caught.value)
    assert lab.refs() == before


MEMBERS = [
    "../x.json",
    "/abs.json",
    "a\\..\\b",
    "header.json\0x",
    "header.json/",
    "samples/../../x",
    "C:x",
    "\u202e",
]


@pytest.mark.parametrize("name", MEMBERS)
def test_h48_members_of_a_zip_are_read_by_their_names_alone(tmp_path: Path, name: str) -> None:
    """None is ever written anywhere, and a name that is none of a log's changes nothing."""
    lab = FeedbackLab(tmp_path)
    before, around = lab.refs(), sorted(os.listdir(tmp_path))
    log = next((Path(__file__).resolve().parents[1] / "feedback_files" / "inspect").rglob("*.eval"))
    target = shutil.copy(log, lab.files / "log.eval")
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(name, b'{"evil": true}')
        archive.writestr("samples/" + name, b'{"id": "evil", "epoch": 1}')
    try:
        lab.repo.feedback_import(str(target), subject="a.jsonl", suite="s")
    except DsvcError as error:
        refused(error)
        assert lab.refs() == before
    assert sorted(os.listdir(tmp_path)) == around


def test_a_hook_for_evaluations_runs_only_where_it_was_allowed(tmp_path: Path) -> None:
    lab = FeedbackLab(tmp_path)
    hook = Path(lab.root, ".dsvc", "hooks", "post-feedback")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    lab.repo.user_hooks = UserHooks({"PATH": "/usr/bin:/bin"}, str(tmp_path / "allowed"))
    done = lab.take({"suite": "s"}, {"row": {"id": 1}, "symptom": "x"})
    assert done.feedback
    assert done.warning
    assert not (tmp_path / "ran").exists()
