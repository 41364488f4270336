"""What web sites say about the use of what they publish: robots.txt, AIPREF, TDMRep, header snapshots.

Snapshots are read, and what they say is kept as facts beside the evidence; whether that allows a use is for
the rules of a policy to judge. Nothing here is fetched: a snapshot is a file that a crawler stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from dsvc.lineage.evidence import HEADERS, ROBOTS, TDMREP

UNKNOWN: Final = "unknown"
_MAX_BYTES: Final = 4 << 20
_MAX_FACT_CHARACTERS: Final = 2000
_MEMBER: Final = re.compile(r"\s*([A-Za-z*][A-Za-z0-9_.*-]*)\s*=\s*\"?(\??[A-Za-z0-9-]+)\"?\s*(?:;[^,]*)?")
_HEADER: Final = re.compile(r"\s*<?\s*([A-Za-z][A-Za-z0-9-]*)\s*:\s*(.*?)\s*")


class Site(NamedTuple):
    """A part of the web: a host, and a path below which the data was."""

    host: str
    path: str = "/"


def sites_of(domains: Iterable[str]) -> list[Site]:
    """Read domains: ``example.org``, ``example.org/news`` or an URL, each with ``=BYTES`` or not."""
    found = []
    for text in domains:
        name = text.rpartition("=")[0] if re.search(r"=\d+$", text) else text
        name = name.partition("://")[2] or name
        host, slash, path = name.strip().partition("/")
        if host:
            found.append(Site(host.casefold(), slash + path or "/"))
    return list(dict.fromkeys(found))


def read_facts(
    type_: str, data: bytes, *, user_agent: str | None, sites: Sequence[Site], name: str = ""
) -> dict[str, str]:
    """Read what a snapshot says.

    Parameters
    ----------
    type_ : str
        Kind of the evidence; kinds other than robots.txt, TDMRep and headers say nothing.
    user_agent : str or None
        Who crawled.
    sites : sequence of Site
        What was crawled; where one is part of `name`, only that.
    name : str
        Path or name of the file.

    Returns
    -------
    dict
        ``robots_verdict``: ``allowed``, ``disallowed`` or ``unknown``; ``aipref``: the preferences that hold;
        ``train_ai``: ``y``, ``n`` or ``unknown``; ``tdm_reservation``: ``0``, ``1`` or ``unknown``;
        ``tdm_policy``: an address. Each only where that kind of evidence can tell.
    """
    named = [site for site in sites if site.host in name.casefold()]
    concerned = named or list(sites) or [Site("")]
    if type_ not in (ROBOTS, TDMREP, HEADERS):
        return {}
    text = data.decode("utf-8-sig", "replace") if len(data) <= _MAX_BYTES else None
    if type_ == ROBOTS:
        return _robots(text, user_agent, concerned)
    return _tdmrep(text, concerned) if type_ == TDMREP else _headers(text)


def _is_page(text: str) -> bool:
    """Whether a server sent a page of HTML in place of the file."""
    return text.lstrip()[:200].casefold().startswith(("<!doctype", "<html", "<?xml", "<head"))


# robots.txt


def _robots(text: str | None, user_agent: str | None, sites: Sequence[Site]) -> dict[str, str]:
    if text is None or _is_page(text):
        return {"robots_verdict": UNKNOWN}
    agent = user_agent or "*"
    preferences = [_preferences(_usage_of(text, agent, site.path)) for site in sites]
    return {
        "robots_verdict": _verdict(text, user_agent, sites),
        **_aipref_facts([each for each in preferences if each]),
    }


def _verdict(text: str, user_agent: str | None, sites: Sequence[Site]) -> str:
    if not user_agent:
        return UNKNOWN
    from protego import Protego

    try:
        rules = Protego.parse(text)
        allowed = [rules.can_fetch(f"https://{s.host or 'localhost'}{s.path}", user_agent) for s in sites]
    except (ValueError, RecursionError, IndexError):
        return UNKNOWN
    return "allowed" if all(allowed) else "disallowed"


def _usage_of(text: str, agent: str, path: str) -> str:
    """Content-Usage of the group for an agent, of the longest path that the site's path lies below.

    Protego drops these lines, so groups are told here as RFC 9309 has them.
    """
    product = agent.partition("/")[0].partition(" ")[0].casefold()
    groups = list(_groups(text))
    own = [usage for agents, usage in groups if product in [name.partition("/")[0] for name in agents]]
    chosen = own or [usage for agents, usage in groups if "*" in agents]
    found: list[tuple[int, str]] = []
    for line in (line for usage in chosen for line in usage):
        where, blank, rest = line.partition(" ")
        where, rest = (where, rest) if where.startswith("/") and blank else ("/", line)
        if path.startswith(where.rstrip("*$")):
            found.append((len(where), rest))
    longest = max((length for length, _ in found), default=0)
    return ", ".join(rest for length, rest in found if length == longest)


def _groups(text: str) -> Iterator[tuple[list[str], list[str]]]:
    agents: list[str] = []
    usage: list[str] = []
    ruled = False
    for raw in text.splitlines():
        key, colon, value = raw.partition("#")[0].partition(":")
        word = key.strip().casefold()
        if not colon:
            continue
        if word == "user-agent":
            if ruled:
                yield agents, usage
                agents, usage, ruled = [], [], False
            agents.append(value.strip().casefold())
        elif word in ("allow", "disallow", "content-usage"):
            ruled = True
            if word == "content-usage":
                usage.append(value.strip())
    if agents:
        yield agents, usage


# AIPREF


def _preferences(text: str) -> dict[str, str]:
    """Read ``train-ai=n, search=y``; what has another form is left out."""
    found: dict[str, str] = {}
    for part in text.split(","):
        member = _MEMBER.fullmatch(part)
        if member is not None:
            value = {"?0": "n", "?1": "y"}.get(member[2], member[2].casefold())
            found[member[1].casefold()] = value
    return found


def _aipref_facts(stated: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Facts of what was stated; where two statements differ, the one that refuses holds."""
    if not stated:
        return {}
    united: dict[str, str] = {}
    for preferences in stated:
        for key, value in preferences.items():
            united[key] = "n" if "n" in (value, united.get(key)) else value
    text = ", ".join(f"{key}={value}" for key, value in sorted(united.items()))
    training = united.get("train-ai", united.get("train-genai", UNKNOWN))
    return {
        "aipref": text[:_MAX_FACT_CHARACTERS],
        "train_ai": training if training in ("y", "n") else UNKNOWN,
    }


def training_preference(text: str) -> str:
    """Say what a statement of AIPREF, such as ``train-ai=n, search=y``, says of training: y, n or unknown."""
    return _aipref_facts([_preferences(text)])["train_ai"]


# TDMRep


def _tdmrep(text: str | None, sites: Sequence[Site]) -> dict[str, str]:
    try:
        rules = msgspec.json.decode(text or "")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {"tdm_reservation": UNKNOWN}
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        return {"tdm_reservation": UNKNOWN}
    values: set[str] = set()
    policies: list[str] = []
    for rule in rules:
        if any(_touches(str(rule.get("location", "/")), site.path) for site in sites):
            values.add(_reservation(rule.get("tdm-reservation")))
            policies += [p for p in [rule.get("tdm-policy")] if isinstance(p, str)]
    return _reserved(values, policies)


def _touches(location: str, path: str) -> bool:
    """Whether a rule for a location says something of what lies below a path."""
    place = re.split(r"[*$]", location, maxsplit=1)[0]
    place = place if place.startswith("/") else "/" + place
    return place.startswith(path) or path.startswith(place)


def _reservation(value: object) -> str:
    text = str(int(value)) if isinstance(value, bool | float) else str(value).strip()
    return text if text in ("0", "1") else UNKNOWN


def _reserved(values: set[str], policies: Sequence[str]) -> dict[str, str]:
    # One part that is reserved is enough; nothing said of a site means that nothing is reserved there.
    held = "1" if "1" in values else UNKNOWN if UNKNOWN in values else "0"
    facts = {"tdm_reservation": held}
    return facts | ({"tdm_policy": policies[0][:_MAX_FACT_CHARACTERS]} if policies else {})


# Header snapshots


def _headers(text: str | None) -> dict[str, str]:
    if text is None:
        return {"tdm_reservation": UNKNOWN}
    found = list(_header_lines(text))
    values = {_reservation(value) for name, value in found if name == "tdm-reservation"}
    policies = [value for name, value in found if name == "tdm-policy" and value]
    usage = [_preferences(value) for name, value in found if name == "content-usage"]
    facts = _reserved(values, policies) if values else {}
    return facts | _aipref_facts([each for each in usage if each])


def _header_lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and values, of lines ``Name: value`` or of JSON objects, nested or one a line."""
    for line in [text, *text.splitlines()] if text.lstrip()[:1] in ("{", "[") else ():
        try:
            yield from _pairs(msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            continue
    for line in text.splitlines():
        header = _HEADER.fullmatch(line)
        if header is not None:
            yield header[1].casefold(), header[2]


def _pairs(value: object) -> Iterator[tuple[str, str]]:
    pending = [value]
    while pending:
        at = pending.pop()
        if isinstance(at, dict):
            for name, inner in at.items():
                if isinstance(inner, str | int):
                    yield str(name).casefold(), str(inner)
                else:
                    pending.append(inner)
        elif isinstance(at, list):
            pending.extend(at)
