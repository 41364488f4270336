"""Formats of git repositories: ours is read, one that needs more than this dsvc knows is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.history.git_format import check_git_format
from dsvc.model.errors import CorruptDataError, StorageError, UnsupportedFormatError

FIRST = "[core]\nrepositoryformatversion = 1\n"


def checked(folder: Path, text: str) -> None:
    (folder / "config").write_text(text, encoding="utf-8")
    check_git_format(str(folder))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
        "[core]\nrepositoryformatversion = 1\n",
        "[CORE]\n  RepositoryFormatVersion=1\n[extensions]\n\tobjectFormat = sha1\n",
        '[core] repositoryformatversion = 1\n[extensions] objectFormat = "SHA1"\n',
        # As git has it: extensions count from version 1 on.
        "[core]\nrepositoryformatversion = 0\n[extensions]\nunheard = of\n",
        "[other]\nrepositoryformatversion = 7\n",
        "# a remark\n; another\n[core\nnonsense\n=\n",
    ],
)
def test_formats_that_are_read(tmp_path: Path, text: str) -> None:
    checked(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[core]\nrepositoryformatversion = 2\n", "version 2"),
        (FIRST + "[extensions]\nunheard = of\n", "unheard = of"),
        (
            "[core]\nrepositoryformatversion = 1\n[extensions]\nobjectFormat = sha256\n",
            "objectformat = sha256",
        ),
        (
            "[core]\nrepositoryformatversion = 1\n[extensions]\nrefStorage = reftable\n",
            "refstorage = reftable",
        ),
        ("[extensions]\nunheard = of\n[core]\nrepositoryformatversion = 3\n", "unheard = of"),
    ],
)
def test_formats_that_are_refused(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UnsupportedFormatError) as caught:
        checked(tmp_path, text)
    assert named in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("version", ["", "one", "-1", "1.0", "٣x"])
def test_a_version_that_is_none(tmp_path: Path, version: str) -> None:
    with pytest.raises(CorruptDataError, match="no format version"):
        checked(tmp_path, f"[core]\nrepositoryformatversion = {version}\n")


def test_without_a_configuration(tmp_path: Path) -> None:
    check_git_format(str(tmp_path))
    (tmp_path / "config").mkdir()
    with pytest.raises(StorageError) as caught:
        check_git_format(str(tmp_path))
    assert caught.value.details["errno"] == "EISDIR"
