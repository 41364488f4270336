r"""For each plugin of detect-secrets a pattern of RE2 that finds all lines in which it could find
something.

Counts are shorter than the plugins', since long ones cost time before the first line is read.

They run over whole blocks of bytes, as one pattern, and let through more than the plugins find: the plugins
then look at these lines only. A plugin without a pattern here looks at every line. `tests` compare what is
found with these patterns and without.
"""

from __future__ import annotations

from typing import Final

_SPACES: Final = r"[\s\x0b\x1c-\x1f\x80-\xff]*"
_WORD: Final = r"[0-9A-Za-z_\x80-\xff]*"
_QUOTE: Final = "['\"`]"
_NAMES: Final = (
    r"(?:(?:api|auth|service|account|db|database|priv|private|client)_?key|(?:db|database|key)_?pass"
    r"|password|passwd|pwd|secret|contrase(?:n|\xc3\xb1|\xc3\x91)a)"
)
_GIVEN: Final = r"[\"']?\]? *(?:=|:| )"
_KEYS: Final = r"(?:key|pwd?|pass(?:word)?|token)"

LINES: Final = {
    "AWSKeyDetector": (
        r"(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{8}"
        r"|(?i:aws[^\n]*" + _KEYS + r"[^\n]*['\"][0-9a-z/+]{16})"
    ),
    "AliyunAccessKeyDetector": r"LTAI[0-9A-Za-z]{12}",
    "ArtifactoryDetector": r"AKC[a-zA-Z0-9]{10}|AP[0-9A-F][a-zA-Z0-9]{8}",
    "AzureStorageKeyDetector": r"AccountKey=[a-zA-Z0-9+/=]{8}",
    "BasicAuthDetector": r"://[^:/?#\[\]@!$&'()*+,;=\s]+:[^:/?#\[\]@!$&'()*+,;=\s]+@",
    "CloudantDetector": rf"(?i:cl(?:ou(?:dant)?)?[_\-]?(?:api)?{_KEYS}{_GIVEN}|cloudant\.com)",
    "DiscordBotTokenDetector": r"[a-zA-Z0-9_\-]{2}\.[a-zA-Z0-9_\-]{6}\.[a-zA-Z0-9_\-]{8}",
    "GitHubTokenDetector": r"gh[pousr]_[A-Za-z0-9_]{8}",
    "GitLabTokenDetector": r"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-|GR1348941",
    "GoogleApiKeyDetector": r"AIza[0-9A-Za-z_\-]{8}",
    "HuggingFaceTokenDetector": r"hf_[A-Za-z]{8}",
    "IbmCloudIamDetector": rf"(?i:{_KEYS}[\"']?\]? *(?::=|=>|::|=|:| ) *[\"']?[a-z0-9_\-]{{16}})",
    "IbmCosHmacDetector": rf"(?i:secret[\-_]?(?:access)?[\-_]?key{_GIVEN})",
    "JwtTokenDetector": r"eyJ[A-Za-z0-9\-_=]+\.[A-Za-z0-9\-_=]",
    "KeywordDetector": (
        rf"(?i:{_NAMES}{_WORD}[\]'\"]{{0,2}}{_SPACES}(?::=?|=>?|={{1,3}}|!==?){_SPACES}@?{_QUOTE}"
        rf"|{_NAMES}[^\n]*{_QUOTE};|{_QUOTE}{_SPACES}[!=]{{2,3}}{_SPACES}{_WORD}{_NAMES})"
    ),
    "MailchimpDetector": r"[0-9a-z]-us[0-9]",
    "NpmDetector": r":_authToken=",
    "OpenAIDetector": r"T3BlbkFJ",
    "PrivateKeyDetector": r"BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File-2",
    "PypiTokenDetector": r"pypi-AgE",
    "SendGridDetector": r"SG\.[a-zA-Z0-9_\-]{22}\.",
    "SlackDetector": r"(?i:xox[abposr]-|hooks\.slack\.com/services)",
    "SoftlayerDetector": rf"(?i:(?:softlayer|sl)[_\-]?(?:api)?[_\-]?{_KEYS}{_GIVEN}|api.softlayer.com/soap)",
    "SquareOAuthDetector": r"sq0csp-",
    "StripeDetector": r"[rs]k_live_[0-9a-zA-Z]{8}",
    "TelegramBotTokenDetector": r"[0-9]{8}:[0-9A-Za-z_\-]{8}",
    "TencentCloudKeyDetector": r"AKID[0-9A-Za-z]{8}",
    "TwilioKeyDetector": r"(?:AC|SK)[a-z0-9]{8}",
}
STRANGE: Final = r"\xc5\xbf|\xe2\x84\xaa|\xc4[\xb0\xb1]"
"""Letters that Python takes for an s, k or i where case doesn't count: every plugin looks at their lines."""
ANY_KEYWORD: Final = rf"(?i:{_NAMES})"
"""In files of settings, where values stand without quotes."""
