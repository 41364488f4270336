"""The plugins of detect-secrets that are asked, and some more in its manner for keys it doesn't know."""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final, NamedTuple

from dsvc.policy.detectors.secret_lines import ANY_KEYWORD, LINES

_LEFT_OUT: Final = frozenset({"IPPublicDetector"})
"""A public address is no secret; it is looked for among personal data."""
ENTROPY: Final = frozenset({"Base64HighEntropyString", "HexHighEntropyString"})
SETTINGS_ENDINGS: Final = frozenset(
    (b"yaml", b"yml", b"ini", b"cfg", b"conf", b"config", b"env", b"properties", b"toml")
)


_PART: Final = 1024


class Plugin(NamedTuple):
    """A plugin with what it needs.

    Attributes
    ----------
    kind : str
        What it finds, for instance ``aws_access_key``.
    lines : str
        Pattern of RE2 for the lines that it must look at.
    plugin : detect_secrets.plugins.base.BasePlugin
    is_keyword : bool
        Whether it goes by the names of variables.
    """

    kind: str
    lines: str
    plugin: Any
    is_keyword: bool

    def values(self, text: str, *, unquoted: bool) -> set[str]:
        """Find secrets in a line; nothing is verified, and no comment in the data is obeyed."""
        if self.is_keyword:
            return _keyword_values(self.plugin, text, unquoted)
        found = self.plugin.analyze_string(text)
        if self.kind == "basic_auth_credentials":
            from detect_secrets.filters.heuristic import is_templated_secret

            return {each for each in found if not is_templated_secret(each)}
        if hasattr(self.plugin, "entropy_limit"):
            limit = self.plugin.entropy_limit
            return {each for each in found if self.plugin.calculate_shannon_entropy(each) > limit}
        return set(found)


def _keyword_values(plugin: Any, text: str, unquoted: bool) -> set[str]:
    from detect_secrets.filters import heuristic
    from detect_secrets.plugins.keyword import CONFIG_DENYLIST_REGEX_TO_GROUP

    patterns = CONFIG_DENYLIST_REGEX_TO_GROUP if unquoted else None
    return {
        value
        for part in _parts(text)
        for value in plugin.analyze_string(part, denylist_regex_to_group=patterns)
        if not (
            heuristic.is_templated_secret(value)
            or heuristic.is_not_alphanumeric_string(value)
            or heuristic.is_sequential_string(value)
            or heuristic.is_prefixed_with_dollar_sign(value)
            or _is_phrase(value)
        )
    }


def _parts(text: str) -> list[str]:
    """Parts of a long line, overlapping: the plugin finds one secret in each, in quadratic time."""
    if len(text) <= _PART:
        return [text]
    return [text[start : start + _PART] for start in range(0, len(text) - _PART // 2, _PART // 2)]


def _is_phrase(value: str) -> bool:
    """Whether it reads as text: several words, letters that no password has, too short."""
    return len(value) < 4 or not value.isascii() or bool(re.search(r"\s", value))


def plugins(*, entropy: bool, settings: bool) -> tuple[Plugin, ...]:
    """Every plugin that is asked.

    Parameters
    ----------
    entropy : bool
        Whether those are among them that call any random string a secret.
    settings : bool
        Whether the lines are those of a file of settings.
    """
    found = [*_built_in(), *_further()]
    wanted = [each for each in found if entropy or each.__name__ not in ENTROPY]
    return tuple(_plugin(each, settings) for each in sorted(wanted, key=lambda each: str(each.__name__)))


def _plugin(kind: Any, settings: bool) -> Plugin:
    name = kind.__name__
    is_keyword = name == "KeywordDetector"
    lines = ANY_KEYWORD if is_keyword and settings else LINES.get(name, "")
    slug = re.sub(r"[^a-z0-9]+", "_", kind.secret_type.lower()).strip("_")
    return Plugin(slug, lines, kind(), is_keyword)


def _built_in() -> list[Any]:
    import detect_secrets.plugins
    from detect_secrets.plugins.base import BasePlugin

    classes = {}
    for module in iter_modules(detect_secrets.plugins.__path__):
        for found in vars(import_module(f"detect_secrets.plugins.{module.name}")).values():
            if isinstance(found, type) and issubclass(found, BasePlugin) and not found.__abstractmethods__:
                classes[found.__name__] = found
    return [found for name, found in classes.items() if name not in _LEFT_OUT]


def _further() -> list[Any]:
    from detect_secrets.plugins.base import RegexBasedDetector

    def detector(name: str, secret_type: str, pattern: str) -> Any:
        return type(
            name, (RegexBasedDetector,), {"secret_type": secret_type, "denylist": [re.compile(pattern)]}
        )

    return [
        detector(
            "AliyunAccessKeyDetector",
            "Aliyun Access Key",
            r"(?<![0-9A-Za-z])LTAI[0-9A-Za-z]{12,20}(?![0-9A-Za-z])",
        ),
        detector(
            "GoogleApiKeyDetector",
            "Google API Key",
            r"(?<![0-9A-Za-z_-])AIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])",
        ),
        detector(
            "HuggingFaceTokenDetector",
            "Hugging Face Token",
            r"(?<![0-9A-Za-z])hf_[A-Za-z]{34}(?![0-9A-Za-z])",
        ),
        detector(
            "TencentCloudKeyDetector",
            "Tencent Cloud Key",
            r"(?<![0-9A-Za-z])AKID[0-9A-Za-z]{32}(?![0-9A-Za-z])",
        ),
    ]
