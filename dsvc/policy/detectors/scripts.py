"""Writing systems of a text: those of East Asia tell its language, and cost nothing to tell."""

from __future__ import annotations

import re
from typing import Final

HAN: Final = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af\u3005\u3007"
KANA: Final = r"\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
HANGUL: Final = r"\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3"
"""Ranges of characters, as a regular expression's class holds them."""
_HAN: Final = re.compile(f"[{HAN}]")
_KANA: Final = re.compile(f"[{KANA}]")
_HANGUL: Final = re.compile(f"[{HANGUL}]")
_WIDE: Final = re.compile(f"[{HAN}{KANA}{HANGUL}]")
_LETTER: Final = re.compile(r"[^\W\d_]")
LETTERS: Final = 12
WIDE_LETTERS: Final = 4
KANA_SHARE: Final = 0.1
"""Of the characters of East Asia; a Chinese text may quote a Japanese name, and hardly more."""


def is_prose(text: str) -> bool:
    """Whether a text has letters enough to tell its language."""
    if text.isascii():
        return len(text) >= LETTERS and len(_LETTER.findall(text)) >= LETTERS
    return len(_WIDE.findall(text)) >= WIDE_LETTERS or len(_LETTER.findall(text)) >= LETTERS


def language_by_script(text: str) -> str | None:
    """Tell Chinese, Japanese and Korean by their scripts; None where most of a text is in another one.

    A character of East Asia counts for three letters: it is a word as often as these are.
    """
    if text.isascii():
        return None
    han, kana, hangul = (len(script.findall(text)) for script in (_HAN, _KANA, _HANGUL))
    wide = han + kana + hangul
    others = len(_LETTER.findall(text)) - wide
    if wide * 3 <= others or not wide:
        return None
    if kana >= wide * KANA_SHARE and kana >= hangul:
        return "ja"
    return "ko" if hangul > han else "zh"


__all__ = ["HAN", "HANGUL", "KANA", "is_prose", "language_by_script"]
