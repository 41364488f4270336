"""Two languages: complete, chosen in order, never in JSON."""

from __future__ import annotations

import gettext
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsvc.cli.language import i18n

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def english_afterwards() -> Iterator[None]:
    before = os.environ.get("LANGUAGE")
    yield
    i18n.use_language("en")
    gettext.textdomain("messages")
    if before is None:
        os.environ.pop("LANGUAGE", None)


def dsvc(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in {"LANGUAGE", "LC_ALL", "LANG", "DSVC_LANG"}}
    return subprocess.run(
        [sys.executable, "-m", "dsvc", *arguments],
        capture_output=True,
        encoding="utf-8",
        check=False,
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
    )


def test_the_catalogues_are_complete_and_compiled() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "catalogues.py", "--check"],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("wanted", "catalogue"),
    [
        ("zh_CN.UTF-8", "zh_CN"),
        ("zh", "zh_CN"),
        ("zh-Hans-CN", "zh_CN"),
        ("ZH_cn", "zh_CN"),
        ("en_US.UTF-8", None),
        ("C.UTF-8", None),
        ("C", None),
        ("", None),
        (None, None),
        ("zha", None),
        ("../../etc", None),
    ],
)
def test_a_language_names_its_catalogue(wanted: str | None, catalogue: str | None) -> None:
    assert i18n.catalogue_for(wanted) == catalogue


def test_texts_and_plurals_are_translated() -> None:
    i18n.use_language("zh_CN")
    assert i18n._("nothing changed") == "没有改动"
    assert i18n.ngettext("{n} file", "{n} files", 1234) == "1,234 个文件"
    assert i18n._("a text that nobody translated") == "a text that nobody translated"
    i18n.use_language("de")
    assert i18n._("nothing changed") == "nothing changed"
    assert i18n.ngettext("{n} file", "{n} files", 1) == "1 file"


def test_the_language_comes_from_the_first_that_says_one(tmp_path: Path) -> None:
    chinese, english = "没有仓库", "error: "
    for environment, expected in [
        ({"DSVC_LANG": "zh", "LC_ALL": "C.UTF-8"}, chinese),
        ({"DSVC_LANG": "en", "LC_ALL": "zh_CN.UTF-8"}, english),
        ({"LC_ALL": "zh_CN.UTF-8", "LANG": "C"}, chinese),
        ({"LC_MESSAGES": "zh_CN.UTF-8", "LANG": "C"}, chinese),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, english),
        ({"LANG": "zh_CN.UTF-8"}, chinese),
        ({}, english),
    ]:
        assert expected in dsvc("status", cwd=tmp_path, **environment).stderr, environment


def test_the_config_of_the_repository_comes_before_the_locale(tmp_path: Path) -> None:
    assert dsvc("init", cwd=tmp_path).returncode == 0
    assert dsvc("config", "core.language", "zh_CN", cwd=tmp_path).returncode == 0
    assert "没有命令" in dsvc("nonsense-verb", cwd=tmp_path, LC_ALL="C.UTF-8").stderr
    (tmp_path / "sub").mkdir()
    assert "数据集" in dsvc("--help", cwd=tmp_path / "sub", LC_ALL="C.UTF-8").stdout
    assert "数据集" in dsvc("-C", str(tmp_path), "--help", cwd=Path("/"), LC_ALL="C.UTF-8").stdout
    assert "no verb" in dsvc("nonsense-verb", cwd=tmp_path, DSVC_LANG="en").stderr


def test_help_and_clicks_own_texts_are_chinese(tmp_path: Path) -> None:
    text = dsvc("add", "--help", cwd=tmp_path, DSVC_LANG="zh_CN").stdout
    for word in ("用法：", "选项", "显示此帮助。", "存储改动并暂存"):
        assert word in text
    assert "Usage" not in text


def test_json_keys_codes_and_values_are_never_translated(tmp_path: Path) -> None:
    error = json.loads(dsvc("status", "--json", cwd=tmp_path, DSVC_LANG="zh_CN").stderr)
    assert set(error) >= {"kind", "code", "message", "hint"}
    assert (error["kind"], error["code"]) == ("error", "no-repository")
    dsvc("init", cwd=tmp_path)
    (tmp_path / "a").write_text("x")
    found = json.loads(dsvc("status", "--json", cwd=tmp_path, DSVC_LANG="zh_CN").stdout)
    assert found["untracked"] == [{"path": "a", "change": "untracked"}]
