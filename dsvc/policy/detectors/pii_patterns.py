r"""What personal data look like: for each kind a pattern of Python, and one of RE2 that finds all its lines.

The pattern of RE2 runs over whole blocks of bytes and lets through every line in which the other could match;
it may let through more. It knows the signs that `FOLDED` makes plain only where they part digits: a line with
digits or an at sign of full width (`WIDE`) is always looked at.
"""

from __future__ import annotations

import re
from typing import Final

FOLDED: Final = {
    **{0xFF01 + place: 0x21 + place for place in range(94)},
    **dict.fromkeys((0x00A0, 0x202F, 0x3000, *range(0x2000, 0x200B)), 0x20),
    **dict.fromkeys((*range(0x2010, 0x2016), 0x2212), 0x2D),
}
"""Characters of full width, and other spaces and dashes, made plain; one for one."""
WIDE: Final = r"\xef\xbc[\x90-\x99\xa0\x8b\x8e\xa1-\xba]|\xef\xbd[\x81-\x9a]"
_WIDE_SIGN: Final = re.compile(rb"\xef(?:\xbc[\x81-\xbf]|\xbd[\x80-\x9e])")


def narrow(text: bytes) -> bytes:
    """Write signs of full width, in UTF-8, as those of ASCII."""
    return _WIDE_SIGN.sub(_narrow_sign, text)


def _narrow_sign(found: re.Match[bytes]) -> bytes:
    return bytes((ord(found[0].decode()) - 0xFEE0,))


_S: Final = r"(?:[ \-]|\xc2\xa0|\xe2\x80[\x80-\x95\xaf]|\xe2\x88\x92|\xe3\x80\x80|\xef\xbc\x8d)"
_SHUT: Final = r"(?:\)|\xef\xbc\x89)"
_START: Final = r"(?:^|[^0-9.]|(?:^|[^0-9])\.)"
_END: Final = r"(?:[^0-9]|$)"
_WORD_START: Final = r"(?:^|[^0-9A-Za-z])"
_WORD_END: Final = r"(?:[^0-9A-Za-z]|$)"

_ALONE: Final = r"(?<![0-9A-Za-z])(?<![0-9][.])"
_OVER: Final = r"(?![0-9A-Za-z])(?![.][0-9])"
_NO_PART: Final = _ALONE + r"(?<![0-9]-)"
_NO_REST: Final = _OVER + r"(?!-[0-9])"

ID_CARD_LINES: Final = (
    rf"{_START}[1-9][0-9]{{5}}{_S}?(?:19|20)[0-9]{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
    rf"{_S}?[0-9]{{3}}[0-9Xx]"
)
ID_CARD: Final = re.compile(
    _ALONE
    + r"[1-9][0-9]{5}[ -]?(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[ -]?[0-9]{3}[0-9Xx]"
    + _OVER
)

CARD_LINES: Final = (
    rf"{_START}(?:[3-6][0-9]{{12}}|2[2-7][0-9]{{14}}|3[0-9]{{3}}{_S}[0-9]{{6}}{_S}[0-9]{{4}}"
    rf"|[2-6][0-9]{{3}}{_S}[0-9]{{4}}{_S}[0-9]{{4}}{_S}[0-9])"
)
CARD: Final = re.compile(
    _NO_PART
    + r"(?:[2-6][0-9]{12,18}|3[0-9]{3}([ -])[0-9]{6}\1[0-9]{4,5}"
    + r"|[2-6][0-9]{3}([ -])[0-9]{4}\2[0-9]{4}\2[0-9]{1,4}(?:\2[0-9]{1,3})?)"
    + _NO_REST
)

IBAN_LINES: Final = (
    rf"{_WORD_START}[A-Z]{{2}}[0-9]{{2}}(?: |\xc2\xa0)?[A-Z0-9]{{4}}(?: |\xc2\xa0)?[A-Z0-9]{{4}}"
    r"(?: |\xc2\xa0)?[A-Z0-9]{3}"
)
IBAN: Final = re.compile(
    r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?![0-9A-Za-z])"
)

PASSPORT_LINES: Final = r"(?i)passport|\xe6\x8a\xa4\xe7\x85\xa7"
PASSPORT: Final = re.compile(r"(?<![0-9A-Za-z])(?:[A-Z]{1,2}[0-9]{6,8}|[0-9]{9})(?![0-9A-Za-z])")

SSN_LINES: Final = rf"{_START}[0-9]{{3}}{_S}[0-9]{{2}}{_S}[0-9]{{4}}{_END}"
SSN: Final = re.compile(_NO_PART + r"[0-9]{3}([ -])[0-9]{2}\1[0-9]{4}" + _NO_REST)

MOBILE_LINES: Final = rf"{_START}(?:(?:00)?86{_S}?)?1[3-9][0-9]{_S}?[0-9]{{4}}{_S}?[0-9]{{4}}{_END}"
MOBILE: Final = re.compile(
    # What stands before it is checked afterwards: a pattern that begins with a look behind is slow.
    r"(?:0086[ -]?1|86[ -]?1|1)[3-9][0-9]([ -]?)[0-9]{4}\1[0-9]{4}" + _NO_REST
)
MOBILE_BEFORE: Final = re.compile(r"(?:(?:\A|[^0-9A-Za-z])|tel|phone|mobile)\Z", re.IGNORECASE)
DIGIT_BEFORE: Final = re.compile(r"[0-9][.\-]\Z")

LANDLINE_LINES: Final = (
    rf"{_START}0[1-9][0-9]{{1,2}}{_SHUT}?{_S}{{0,2}}[2-8][0-9]{{2,3}}{_S}?[0-9]{{4}}{_END}"
)
LANDLINE: Final = re.compile(
    _NO_PART + r"\(?0(?:10|2[0-9]|[3-9][0-9]{2})(\)? ?-? ?)[2-8][0-9]{2,3}[ -]?[0-9]{4}" + _OVER
)

PHONE_LINES: Final = (
    rf"\+[1-9][0-9]{{0,2}}[^0-9A-Za-z]{{0,7}}[0-9]"
    rf"|{_START}[2-9][0-9]{{2}}{_SHUT}?(?:{_S}|\.){{1,2}}[2-9][0-9]{{2}}(?:{_S}|\.)[0-9]{{4}}{_END}"
)
PHONE: Final = re.compile(
    r"(?<![0-9A-Za-z.+)])\+[1-9][0-9]{0,2}[ .-]?(?:\(0?[0-9]{1,4}\)[ .-]?)?[0-9]+(?:[ .-][0-9]{2,12}){0,5}"
    r"(?![0-9A-Za-z])(?![.,-][0-9])"
)
PHONE_US: Final = re.compile(
    _NO_PART
    + r"(?:\([2-9][0-9]{2}\) ?[2-9][0-9]{2}-[0-9]{4}|[2-9][0-9]{2}([.-])[2-9][0-9]{2}\1[0-9]{4})"
    + _NO_REST
)

EMAIL_LINES: Final = r"[A-Za-z0-9_%+\-]@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2}"
EMAIL: Final = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+-](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_%+-])?"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9@_-])"
)

PROVINCES: Final = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
PLATE_LINES: Final = r"[\xe4-\xe9][\x80-\xbf]{2}[A-HJ-NP-Z](?:\xc2\xb7|\xe2\x80\xa2| )?[A-HJ-NP-Z0-9]{5}"
PLATE: Final = re.compile(rf"[{PROVINCES}][A-HJ-NP-Z][·• ]?[A-HJ-NP-Z0-9]{{5,6}}(?![0-9A-Za-z])")

ADDRESS_LINES: Final = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:"
ADDRESS: Final = re.compile(
    r"(?<![0-9A-Za-z.:-])(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z]|[.-][0-9])"
    r"|[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?![0-9A-Za-z:.]))"
)

NOT_A_PERSON: Final = re.compile(
    r"(?:order|serial|timestamp|trace|batch|sku|uuid|isbn|issn|doi|\bid|[_ ]id|Id|\bid[sx]|tweet|status|"
    r"version|hash|seed|size|offset|population|订单|单号|编号|流水|序号|批号|运单|快递|条码|时间戳|工单|"
    r"合同)(?:号|号码|[_ ]?(?:no|num|number|code|id))?[.\"'\s:：=#是为]{0,6}\Z",
    re.IGNORECASE | re.ASCII,
)
"""In front of digits: they count or name something else."""
CARD_WORDS: Final = re.compile(
    r"card|卡|bank|银行|visa|mastercard|账号|账户|帐号|帐户|account|\bpan\b|支付|付款|credit|debit|pay",
    re.IGNORECASE | re.ASCII,
)
PHONE_WORDS: Final = re.compile(
    r"电话|座机|传真|热线|固话|致电|拨打|来电|tel|fax|phone|call", re.IGNORECASE | re.ASCII
)
PASSPORT_WORDS: Final = re.compile(r"护照|passport", re.IGNORECASE | re.ASCII)
SSN_WORDS: Final = re.compile(r"\bssn\b|social[ _]security|社会安全|社保号|社安", re.IGNORECASE | re.ASCII)
VERSION_WORDS: Final = re.compile(
    r"(?:\bv|ver|version|版本|release|build|section|§|chapter)[号\s:=.\"']{0,4}\Z", re.IGNORECASE | re.ASCII
)
FILE_ENDINGS: Final = frozenset(
    [
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "bmp",
        "ico",
        "css",
        "json",
        "html",
        "htm",
        "txt",
        "xml",
        "yaml",
        "yml",
        "toml",
        "csv",
        "tsv",
        "wav",
        "avi",
        "pdf",
        "doc",
        "docx",
        "xls",
        "xlsx",
        "cpp",
        "hpp",
        "exe",
        "dll",
        "jar",
        "class",
        "local",
        "localhost",
        "internal",
        "lan",
        "invalid",
    ]
)
"""What stands behind the last dot where it is no e-mail address."""
