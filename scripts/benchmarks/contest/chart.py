"""A bar chart as SVG: the first bar is ours and stands out; readable on light and on dark pages."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT = 720, 130, 80
TOP, ROW, THICK = 44, 28, 18

STYLE = """
text { font: 14px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.bar { fill: #8c959f } .ours { fill: #1f6feb }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .bar { fill: #6e7681 } .ours { fill: #58a6ff } }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """A name, its value (its length, linear from 0), and what is written beside it."""

    name: str
    value: float
    told: str


def draw(title: str, bars: list[Bar]) -> str:
    """Return the SVG document."""
    height = TOP + ROW * len(bars) + 8
    longest = max(bar.value for bar in bars) or 1.0
    rows = [_row(number, bar, longest) for number, bar in enumerate(bars)]
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<text class="title" x="8" y="24">{escape(title)}</text>',
            *rows,
            "</svg>\n",
        ]
    )


def _row(number: int, bar: Bar, longest: float) -> str:
    top = TOP + ROW * number
    length = max(2.0, (WIDTH - LEFT - RIGHT) * bar.value / longest)
    line, kind = top + THICK - 4, "bar" if number else "ours"
    return (
        f'<text x="{LEFT - 8}" y="{line}" text-anchor="end">{escape(bar.name)}</text>'
        f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{length:.1f}" height="{THICK}" rx="2"/>'
        f'<text x="{LEFT + length + 6:.1f}" y="{line}">{escape(bar.told)}</text>'
    )
