"""A grid of small bar charts as SVG; each panel has a scale of its own and every bar its number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

PANEL_WIDTH = 330
BAR_HEIGHT = 15
BAR_STEP = 19
LABEL_WIDTH = 66
NUMBER_WIDTH = 74
TITLE_HEIGHT = 30
GAP = 24
OWN_COLOUR = "#1f6feb"
PEER_COLOUR = "#9aa4b2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One tool."""

    label: str
    value: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One step of one workload."""

    title: str
    bars: Sequence[Bar]


def draw(rows: Sequence[Sequence[Panel]], *, subject: str) -> str:
    """The panels as one picture; the bars of `subject` stand out."""
    height = GAP
    drawn: list[str] = []
    for row in rows:
        for index, panel in enumerate(row):
            drawn.extend(_panel(panel, GAP + index * (PANEL_WIDTH + GAP), height, subject))
        height += TITLE_HEIGHT + BAR_STEP * max((len(panel.bars) for panel in row), default=0) + GAP
    width = GAP + (PANEL_WIDTH + GAP) * max((len(row) for row in rows), default=1)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
    )
    return head + "\n".join(drawn) + "\n</svg>\n"


def _panel(panel: Panel, left: int, top: int, subject: str) -> Iterator[str]:
    yield f'<text x="{left}" y="{top + 14}" font-weight="bold" fill="#1b1f24">{escape(panel.title)}</text>'
    room = PANEL_WIDTH - LABEL_WIDTH - NUMBER_WIDTH
    largest = max((bar.value for bar in panel.bars), default=0.0) or 1.0
    for index, bar in enumerate(panel.bars):
        y = top + TITLE_HEIGHT + index * BAR_STEP
        length = max(1.0, room * bar.value / largest)
        colour = OWN_COLOUR if bar.label == subject else PEER_COLOUR
        start = left + LABEL_WIDTH
        yield (
            f'<text x="{start - 6}" y="{y + 12}" text-anchor="end" fill="#1b1f24">{escape(bar.label)}</text>'
            f'<rect x="{start}" y="{y}" width="{length:.1f}" height="{BAR_HEIGHT}" fill="{colour}"/>'
            f'<text x="{start + length + 5:.1f}" y="{y + 12}" fill="#1b1f24">{escape(bar.text)}</text>'
        )
