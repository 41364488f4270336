"""Names of any bytes: harmless on a terminal, exact in JSON."""

from __future__ import annotations

from base64 import b64decode

import pytest

from dsvc.cli.writing.names import path_fields, show_line, show_name, show_text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"plain.txt", "plain.txt"),
        (b"with blank", "with blank"),
        ("数据/标注.csv".encode(), "数据/标注.csv"),
        ("café 🎉 👩‍🔬".encode(), "café 🎉 👩‍🔬"),
        (b'quote"d', '"quote\\"d"'),
        (b"back\\slash", '"back\\\\slash"'),
        (b"line\nend", '"line\\nend"'),
        (b"\x1b[2Jgone", '"\\033[2Jgone"'),
        (b"bad\xff", '"bad\\377"'),
        ("rtl\u202etxt.exe".encode(), '"rtl\\342\\200\\256txt.exe"'),
        ("c1\u009b31m".encode(), '"c1\\302\\23331m"'),
        ("soft\u00adhyphen".encode(), '"soft\\302\\255hyphen"'),
        ("para\u2029".encode(), '"para\\342\\200\\251"'),
    ],
)
def test_a_name_is_shown_as_git_would(name: bytes, shown: str) -> None:
    assert show_name(name) == shown


def test_no_name_of_one_or_two_bytes_reaches_a_terminal_raw() -> None:
    for first in range(1, 256):
        for second in (b"", b"\x1b", b"\x9b", b"a"):
            shown = show_name(bytes([first]) + second)
            assert shown.isprintable(), (first, second)
            shown.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("说明\n两行\t制表", "说明\n两行\t制表"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("cr\r\n", "cr\\x0d\n"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800\udcff", "\\ud800\\xff"),
        ("\x9b31m", "\\x9b31m"),
        ("\u00ad", "\\xad"),
    ],
)
def test_a_text_has_its_control_characters_escaped(text: str, shown: str) -> None:
    assert show_text(text) == shown


def test_a_line_stays_one_line() -> None:
    assert show_line("a\n b\x1b\tc\u2028d") == "a b\\x1b c d"


def test_json_has_the_exact_bytes_of_a_name_that_is_not_utf8() -> None:
    assert path_fields("数据.csv".encode()) == {"path": "数据.csv"}
    fields = path_fields(b"bad\xff\xfe", "old_path")
    assert fields["old_path"] == "bad\ufffd\ufffd"
    assert b64decode(fields["old_path_b64"]) == b"bad\xff\xfe"
