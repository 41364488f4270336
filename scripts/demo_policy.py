"""The third part of the demo: data that may not be used, a gate, a way past it, and who may let it stand.

What is crawled here is made up, and so are the people; their keys are made anew each time. More in
docs/demo.md.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from demo_chain import expect
from demo_shell import Shell, say

SUBJECT = "source:网页"
REVIEWS = (
    "物流很快，包装完好。",
    "The strap broke after a week.",
    "颜色和图片不一样，退货了。",
    "Works as described.",
)


def make_key(path: Path, who: str) -> str:
    """Make an SSH key for somebody; returns the line that a roster has."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return f"{public.decode()} {who}"


def lay_out(folder: Path, keys: Path) -> None:
    """Write what was crawled, what the site said of it, a policy and a roster."""
    for path in (folder / "web", folder / "evidence", keys):
        path.mkdir(parents=True)
    rows = [
        json.dumps({"id": number, "text": text}, ensure_ascii=False) for number, text in enumerate(REVIEWS)
    ]
    (folder / "web" / "reviews.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "evidence" / "collection.md").write_text(
        "Crawled on 2026-05-04 by our-bot.\n", encoding="utf-8"
    )
    (folder / "evidence" / "robots.txt").write_text("User-agent: *\nAllow: /\n", encoding="utf-8")
    reserved = [{"location": "/", "tdm-reservation": 1}]
    (folder / "evidence" / "tdmrep.json").write_text(json.dumps(reserved) + "\n", encoding="utf-8")
    people = ("author", "officer")
    roster = ", ".join(json.dumps(make_key(keys / who, f"{who}@example.org")) for who in people)
    (folder / "dsvc.toml").write_text(
        f'[policy]\npacks = ["default"]\n\n[roles]\ncompliance_officer = [{roster}]\n', encoding="utf-8"
    )


def begin(shell: Shell, keys: Path) -> None:
    """Make the repository, with a hook for git where there is git."""
    say("A third folder, with a policy and two compliance officers. One works on it and signs commits.")
    shell.dsvc("init")
    shell.dsvc("config", "user.signingKey", str(keys / "author"))
    shell.dsvc("config", "commit.sign", "true")
    shell.dsvc("add", "dsvc.toml")
    shell.dsvc("commit", "-m", "Policy and roster")
    if shutil.which("git") is not None:
        shell.git("init", "-q")
        shell.dsvc("hook", "install", "pre-commit")


def bring_in(shell: Shell) -> None:
    """Name a source that may not be used, be stopped, and go past the gate."""
    say("She brings in what was crawled. The site allows robots, but reserves text and data mining.")
    shell.dsvc(
        *("source", "add", "网页", "--path", "web", "--title", "商品评论", "--acquisition", "crawl"),
        *("--legal-basis", "tdm_exception", "--license", "LicenseRef-site"),
        *("--field", "domains=example.org=4", "--field", "user_agent=our-bot", "--field", "contains_pi=no"),
        *("--evidence", "evidence/collection.md", "evidence/robots.txt", "evidence/tdmrep.json"),
    )
    shell.dsvc("add", "web")
    if shutil.which("git") is not None:
        say("The hook stops git, which was about to commit the file.")
        shell.git("add", "web")
        stopped = shell.git("commit", "-m", "Reviews", code=1)
        expect("SRC-08" in stopped, "the hook names the rule that the source breaks")
    say("dsvc asks the policy by itself. She goes past it all the same; the commit says so.")
    shell.dsvc("commit", "-m", "Reviews 评论", code=20)
    shell.dsvc("commit", "--no-verify", "-m", "Reviews 评论")


def settle(shell: Shell, officer: Shell, keys: Path) -> None:
    """Find it, and see who may let it stand."""
    say("What CI runs finds it, and names the clause.")
    found = shell.dsvc("check", "--gate", code=20)
    expect("CDSM 4(3)" in found, "the clause is named")
    say("The author is an officer, too. But this is the author's own change.")
    until = ("--until", "2999-12-31")
    refused = shell.dsvc(
        *(
            "waive",
            "SRC-08",
            "--subject",
            SUBJECT,
            "--reason",
            "we need it",
            *until,
            "--key",
            str(keys / "author"),
        ),
        code=20,
    )
    expect("that touches its subject" in refused, "nobody waives what is their own")
    say("The other officer has the licence on her desk, and signs for it.")
    reason = ("--reason", "the licence was signed today, the scan follows")
    officer.dsvc("waive", "SRC-08", "--subject", SUBJECT, *reason, *until, "--key", str(keys / "officer"))
    passed = shell.dsvc("check", "--gate")
    expect("the scan follows" in passed, "it passes, and the waiver is printed with its reason")
    shell.dsvc("policy", "explain", "SRC-08", "--language", "zh")


def _person(name: str) -> dict[str, str]:
    """Who dsvc and git take somebody for."""
    found = {"DSVC_AUTHOR_NAME": name, "DSVC_AUTHOR_EMAIL": f"{name.lower()}@example.org"}
    for role in ("AUTHOR", "COMMITTER"):
        found |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": f"{name.lower()}@example.org"}
    return found


def tell_of_policy(folder: Path) -> None:
    """Run the third part in a new folder; keys are kept beside it."""
    keys = folder.parent / f"{folder.name}-keys"
    lay_out(folder, keys)
    shell = Shell(folder, **_person("Author"))
    begin(shell, keys)
    bring_in(shell)
    settle(shell, Shell(folder, **_person("Officer")), keys)
