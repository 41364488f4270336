"""Secrets in what surrounds a run: words, variables, addresses. None is found again, wherever one looks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.cli.main import run as dsvc
from dsvc.porcelain.repository import Repository
from dsvc.testing.faults import BrokenPromiseError, tried
from tests.policyworlds import objects

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYzzEXAMPLEKEY",
    "DB_PASSWORD": "correct-horse-battery-staple",
    "OPENAI_API_KEY": "sk-proj-abcdefghijklmnopqrstuvwx",
    "HF_TOKEN": "hf_abcdefghijklmnopqrstuvwxyzABCD",
}
WORDS = {
    "--password=hunter2hunter2": "hunter2hunter2",
    "--api-key=zyxwvutsrqponm": "zyxwvutsrqponm",
    "AKIAIOSFODNN7EXAMPLE": "AKIAIOSFODNN7EXAMPLE",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "https://me:s3cr3tpass@example.org/x": "s3cr3tpass",
    "https://example.org/x?access_token=t0k3nt0k3n": "t0k3nt0k3n",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl": "eyJhbGciOiJIUzI1NiJ9",
}


def test_h51_what_a_command_is_given_is_stored_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    root = tmp_path / "r"
    Repository.init(str(root)).close()
    (root / "in.csv").write_text("a\n1\n")
    run = ["-C", str(root), "run", "--name", "step", "-i", "in.csv", "-o", "out.csv"]
    assert dsvc([*run, "--", "sh", "-c", "cp in.csv out.csv", "sh", *WORDS]) == 0
    assert dsvc(["-C", str(root), "add", "-A"]) == 0
    assert dsvc(["-C", str(root), "commit", "-m", "made"]) == 0
    for words in (["trace", "out.csv"], ["lineage", "out.csv"], ["log"], ["op", "log"], ["show"]):
        assert dsvc(["-C", str(root), *words, "--json"]) in (0, 2)
        assert dsvc(["-C", str(root), *words]) == 0
    assert dsvc([*run, "--", "sh", "-c", "exit 3", "sh", *WORDS]) == 1
    assert dsvc([*run, "--", "no-such-program", *WORDS]) != 0
    said = "".join(capfd.readouterr()).encode()
    secrets = [value.encode() for value in (*SECRETS.values(), *WORDS.values())]
    kept = b"".join(each.data for each in objects(str(root)))
    with Repository.open(str(root)) as repo:
        kept += repr([*repo.log(), *repo.operations()]).encode()
    for folder, _, names in os.walk(root / ".dsvc"):
        for name in names:
            kept += (Path(folder) / name).read_bytes()
    leaked = [each for each in secrets if each in kept or each in said]
    if leaked:
        raise BrokenPromiseError(f"found again: {leaked}")
    tried("hostile cases", len(secrets))
