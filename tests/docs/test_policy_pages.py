"""docs/policy.md and docs/ci.md: what they show is so; CI files hold to their public schemas, and run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest
import yaml

from dsvc.cli.main import make_group
from dsvc.policy.detectors.registry import FILE_DETECTORS, SET_DETECTORS
from dsvc.policy.pack import built_in, load_built_in
from dsvc.policy.settings import PolicySettings, parse_settings
from dsvc.porcelain.policy.policy_in_force import put_in_force
from tests.resident import resident

DOCS = Path(__file__).resolve().parents[2] / "docs"
POLICY = (DOCS / "policy.md").read_text("utf-8")
CI = (DOCS / "ci.md").read_text("utf-8")
GITHUB = (DOCS / "ci/github.yml").read_text("utf-8")
GITLAB = (DOCS / "ci/gitlab.yml").read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def first_column(page: str, heading: str) -> list[str]:
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_the_settings_are_all_there_and_can_be_in_force() -> None:
    (text,) = [block for block in blocks(POLICY, "toml") if block.startswith("[policy]")]
    settings = parse_settings(text.encode(), "dsvc.toml")
    assert set(re.findall(r"^(\w+) =", text.partition("\n[")[0], re.MULTILINE)) == set(
        PolicySettings.__struct_fields__
    ) - {"parameters", "licences"}
    policy = put_in_force(settings, [load_built_in(name) for name in settings.packs])
    (use,) = [use for use in policy.uses if use.rule.id == "SRC-04"]
    assert use.terms.number("max_rate") == 0.01


def test_packs_and_detectors_are_all_named() -> None:
    assert sorted(first_column(POLICY, "The packs")) == built_in()
    assert sorted(first_column(POLICY, "Detectors")) == sorted((*FILE_DETECTORS, *SET_DETECTORS))


def commands(text: str) -> list[list[str]]:
    lines = re.findall(r"^(?:\s*- |\s*run: |\s*)(dsvc [^\n]*)", text, re.MULTILINE)
    return [shlex.split(re.split(r" [|>#] | \|\| ", line + " ")[0], comments=True) for line in lines]


@pytest.mark.parametrize("page", [POLICY, CI, GITHUB, GITLAB], ids=["policy", "ci", "github", "gitlab"])
def test_commands_are_such_as_dsvc_knows(page: str) -> None:
    text = page if page in (GITHUB, GITLAB) else "\n".join(blocks(page, "sh"))
    found = commands(text)
    assert len(found) >= 4
    for _dsvc, *words in found:
        command: click.Command = make_group()
        context = click.Context(command)
        while isinstance(command, click.Group):
            name, inner, words = command.resolve_command(context, words)
            assert inner is not None, name
            command, context = inner, click.Context(inner, parent=context, info_name=name)
        options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        used = {word for word in words if re.fullmatch("--?[a-z][a-z-]*", word)}
        assert used <= options | {"--json"}, words


@pytest.mark.parametrize(("name", "schema"), [("github", "github-workflows"), ("gitlab", "gitlab-ci")])
def test_files_hold_to_the_public_schema(name: str, schema: str) -> None:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*words, DOCS / "ci" / f"{name}.yml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def scripts(name: str) -> str:
    """What a CI file runs once dsvc and the folder are there."""
    found = yaml.safe_load(GITHUB if name == "github" else GITLAB)
    if name == "gitlab":
        return "set -e\n" + "\n".join(found["data policy"]["script"])
    steps = [step["run"] for step in found["jobs"]["check"]["steps"] if "run" in step]
    return "set -e\n" + "\n".join(steps[2:])


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_what_they_run_writes_reports_and_lets_the_gate_decide(name: str, fast_path: Path) -> None:
    environ = {
        "PATH": f"{resident().folder}:{os.environ['PATH']}",
        "HOME": str(fast_path),
        "DSVC_AUTHOR_NAME": "Ann",
        "DSVC_AUTHOR_EMAIL": "ann@example.org",
    }

    def run(script: str) -> int:
        return subprocess.run(
            ["sh", "-c", script], cwd=fast_path, env=environ, stdin=subprocess.DEVNULL, check=False
        ).returncode

    record = blocks(CI, "sh")[1].splitlines()[0].replace("python3", sys.executable)
    assert record.startswith("dsvc log")
    made = "dsvc init -q --policy default && dsvc add -q dsvc.toml && dsvc commit -q -m one && " + record
    assert run(made) == 0
    assert run(scripts(name)) == 0
    more = "echo id > raw.csv && dsvc add -q raw.csv && dsvc commit -q --no-verify -m two && " + record
    assert run(more) == 0
    assert run(scripts(name)) == 22
    assert '"ruleId": "SRC-01"' in (fast_path / "dsvc.sarif").read_text("utf-8")
    assert ET.parse(fast_path / "dsvc-junit.xml").findall("testsuite/testcase/failure")
    assert "raw.csv" in (fast_path / "dsvc.html").read_text("utf-8")
    assert "raw.csv has no source" in (fast_path / "dsvc.txt").read_text("utf-8")


def test_examples_for_the_framework_are_right(tmp_path: Path) -> None:
    hooks = yaml.safe_load((DOCS.parent / ".pre-commit-hooks.yaml").read_text("utf-8"))
    published, local = blocks(CI, "yaml")
    (tmp_path / "published.yaml").write_text(published)
    (tmp_path / "local.yaml").write_text(local)
    words = [sys.executable, "-m", "pre_commit", "validate-config"]
    subprocess.run([*words, tmp_path / "published.yaml", tmp_path / "local.yaml"], check=True)
    used = [hook["id"] for hook in yaml.safe_load(published)["repos"][0]["hooks"]]
    assert used == [hook["id"] for hook in hooks]
