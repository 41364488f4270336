"""run: code, commit and changes of the checkout around, environment; secrets stay out, hooks stay still."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from dsvc.lineage.run_tree import RunTree
from dsvc.model.run_record import Code
from dsvc.porcelain.runs.run_code import code_state
from dsvc.porcelain.runs.run_environment import EnvironmentProbe, current_environment
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.porcelain.state.redaction import (
    REDACTED,
    is_secret_name,
    redacted,
    redacted_mapping,
    redacted_words,
)
from tests.porcelain.working import Work, link

ENVIRON = {"PATH": os.environ["PATH"]}


def git(folder: Path, *words: str) -> str:
    settings = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *settings, *words], cwd=folder, env=ENVIRON, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def names(code: Code) -> list[bytes]:
    return [each.path for each in code.files]


def test_files_that_words_name_are_code(work: Work) -> None:
    work.write(
        {
            b"s/clean.py": b"1",
            b"s/conf.yml": b"2",
            "s/设置.json".encode(): b"3",
            b"data.csv": b"id\n1\n",
            b"l.py": link(b"s/clean.py"),
            b"other.py": b"4",
        }
    )
    command = [
        "python",
        "s/clean.py",
        "--config=s/conf.yml",
        "s/设置.json",
        "data.csv",
        "l.py",
        "s",
        "..",
        "",
    ]
    code = code_state(work.repo, command, data=[b"data.csv"]).code
    assert names(code) == [b"s/clean.py", b"s/conf.yml", "s/设置.json".encode()]
    inside = code_state(work.repo, ["python", "clean.py", "../other.py", "/etc/passwd"], folder=b"s").code
    assert names(inside) == [b"other.py", b"s/clean.py"]
    line = code_state(work.repo, ["python 's/clean.py' < data.csv"], data=[b"data.csv"]).code
    assert names(line) == [b"s/clean.py"]
    absolute = code_state(work.repo, [os.fsdecode(work.path(b"other.py"))]).code
    assert names(absolute) == [b"other.py"]


def test_the_digest_is_that_of_the_code(work: Work) -> None:
    work.write({b"a.py": b"1"})
    first = code_state(work.repo, ["python", "a.py"]).code.digest
    assert code_state(work.repo, ["python", "a.py"]).code.digest == first
    assert code_state(work.repo, ["python", "a.py", "-v"]).code.digest != first
    work.write({b"a.py": b"2"})
    assert code_state(work.repo, ["python", "a.py"]).code.digest != first


def test_commit_and_changes_of_the_checkout(work: Work) -> None:
    work.write({b"a.py": b"one\n", b"a.csv": b"id\n1\n"})
    git(work.folder, "init", "-q")
    git(work.folder, "add", "a.py")
    git(work.folder, "commit", "-q", "-m", "x")
    clean = code_state(work.repo, ["true"], environ=ENVIRON)
    assert (clean.code.commit, clean.code.dirty, clean.patch) == (
        git(work.folder, "rev-parse", "HEAD"),
        False,
        None,
    )
    work.write({b"a.py": b"two\n"})
    spec = RunSpec(name="copy", inputs=[b"a.csv"], outputs=[b"b.csv"])
    result = work.repo.run(spec, ["cp a.csv b.csv"], environ=ENVIRON)
    assert result.run.code.dirty
    patch = RunTree(work.repo.store, result.id).part(b"patch")
    assert patch is not None
    work.write({b"a.py": b"one\n"})
    subprocess.run(["git", "apply"], cwd=work.folder, input=patch, check=True)
    assert (work.folder / "a.py").read_bytes() == b"two\n"


def test_nothing_that_a_checkout_names_is_run(work: Work) -> None:
    work.write({b"a.py": b"one\n", b".gitattributes": b"* filter=evil diff=evil\n"})
    git(work.folder, "init", "-q")
    git(work.folder, "add", "a.py", ".gitattributes")
    git(work.folder, "commit", "-q", "-m", "x")
    evil = work.folder / "evil.sh"
    evil.write_text(f"#!/bin/sh\ntouch {work.folder}/harmed\ncat\n")
    evil.chmod(0o755)
    names_ = ["core.fsmonitor", "core.pager", "diff.external", "diff.evil.command", "diff.evil.textconv"]
    names_ += ["filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "core.sshCommand"]
    for name in names_:
        git(work.folder, "config", name, os.fspath(evil))
    git(work.folder, "config", "filter.evil.required", "true")
    hook = work.folder / ".git" / "hooks" / "post-index-change"
    hook.write_bytes(evil.read_bytes())
    hook.chmod(0o755)
    work.write({b"a.py": b"two\n"})
    state = code_state(work.repo, ["true"], environ=ENVIRON)
    assert state.code.dirty
    assert b"+two" in (state.patch or b"")
    assert not (work.folder / "harmed").exists()


@pytest.mark.parametrize("broken", ["no git", "no commit", "damaged"])
def test_without_a_usable_checkout_there_is_no_commit(work: Work, broken: str) -> None:
    git(work.folder, "init", "-q")
    if broken == "damaged":
        (work.folder / ".git" / "HEAD").write_text("nonsense")
    environ = {"PATH": "/nowhere"} if broken == "no git" else ENVIRON
    state = code_state(work.repo, ["true"], environ=environ)
    assert (state.code.commit, state.code.dirty, state.patch) == (None, False, None)


def test_packages_are_those_that_are_installed() -> None:
    found = current_environment({})
    known = {
        each.metadata["Name"].lower().replace("_", "-").replace(".", "-"): each.version
        for each in metadata.distributions()
    }
    assert found.packages == known
    assert found.python == sys.version.split()[0]


def test_another_interpreter_is_asked(tmp_path: Path) -> None:
    other = tmp_path / "python3"
    other.write_text('#!/bin/sh\necho \'["9.9.9", ["", "packages"]]\'\n')
    other.chmod(0o755)
    (tmp_path / "packages" / "Some_Thing-1.5.dist-info").mkdir(parents=True)
    probe = EnvironmentProbe([os.fspath(other), "x.py"], ENVIRON, os.fspath(tmp_path))
    found = probe.result()
    assert found.python == "9.9.9"
    other.write_text("#!/bin/sh\necho nonsense\n")
    probe = EnvironmentProbe([os.fspath(other), "x.py"], ENVIRON, os.fspath(tmp_path))
    assert (probe.result().python, probe.result().packages) == ("", {})


def test_h51_only_variables_that_matter_are_recorded() -> None:
    environ = {
        "LANG": "zh_CN.UTF-8",
        "LC_ALL": "C",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "2",
        "CUDA_VISIBLE_DEVICES": "0",
        "HF_TOKEN": "hf_geheim",
        "HF_ENDPOINT": "https://me:geheim@example.org/x?token=geheim&n=1",
        "HOME": "/home/ada",
        "AWS_SECRET_ACCESS_KEY": "geheim",
    }
    kept = current_environment(environ).variables
    assert set(kept) == set(environ) - {"HOME", "AWS_SECRET_ACCESS_KEY"}
    assert (kept["HF_TOKEN"], kept["LANG"]) == (REDACTED, "zh_CN.UTF-8")
    assert "geheim" not in "".join(kept.values())
    assert kept["HF_ENDPOINT"].endswith("&n=1")


def test_h51_secrets_in_words_are_taken_out() -> None:
    command = [
        "curl",
        "--password=geheim",
        "--token",
        "geheim",
        "-H",
        "Authorization: Bearer geheim-geheim",
        "API_KEY=geheim",
        "--api-key",
        "geheim",
        "https://ada:geheim@example.org/data.csv",
        "https://example.org/?access_token=geheim&page=2",
        "ghp_abcdefghijklmnopqrstuvwxyz012345",
        "--key",
        "id",
        "--sort-key=name",
        "--tokenizer=bert",
        "--keyword",
        "data",
        "--max-tokens=512",
    ]
    found = redacted_words(command)
    assert len(found) == len(command)
    assert not any("geheim" in word or "ghp_" in word for word in found)
    assert found[-7:] == tuple(command[-7:])
    assert found[10] == f"https://example.org/?access_token={REDACTED}&page=2"
    assert found[9] == f"https://{REDACTED}@example.org/data.csv"
    line = "curl -u x --password=geheim https://a:geheim@b.org | sort --key=id"
    assert redacted_words([line]) == (
        f"curl -u x --password={REDACTED} https://{REDACTED}@b.org | sort --key=id",
    )
    quoted = redacted_words(["API_KEY='ge heim' x.py --api-key \"ge heim\" --n 3; echo key is token"])
    assert quoted == (f"API_KEY={REDACTED} x.py --api-key {REDACTED} --n 3; echo key is token",)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("API_KEY", True),
        ("apiKey", True),
        ("OPENAI_API_KEY", True),
        ("aws-secret-access-key", True),
        ("DB_PASSWORD", True),
        ("githubToken", True),
        ("--auth", True),
        ("credentials", True),
        ("MONKEY", False),
        ("keyboard", False),
        ("author", False),
        ("key", False),
        ("--keys", False),
        ("max_tokens", False),
        ("tokens", False),
        ("passes", False),
        ("tokenizer", False),
    ],
)
def test_which_names_are_secret(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


def test_h51_values_are_redacted_by_name_and_by_shape() -> None:
    found = redacted_mapping({"password": "x", "url": "s3://key:secret@host/p", "n": "5"})
    assert found == {"password": REDACTED, "url": f"s3://{REDACTED}@host/p", "n": "5"}
    assert redacted("nothing of the kind, a@b.org, C:/x") == "nothing of the kind, a@b.org, C:/x"
