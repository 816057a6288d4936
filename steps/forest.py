"""Two small pictures as inline SVG, coloured by the page's style sheet: intervals beside their lines, and wins against losses."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from steps.gate_rules import Outcome, number

_WIDTH, _LEFT, _RIGHT = 800, 270, 610  # the picture, and the axis within it; labels left, numbers right
_ROW, _TOP = 34, 12


@dataclass(frozen=True)
class Row:
    """An interval, its estimate and the line it is judged by."""

    label: str
    low: float
    estimate: float
    high: float
    line: float
    outcome: Outcome


@dataclass(frozen=True)
class Plot:
    """Rows on one axis. `origin`: where nothing differs, if the axis has such a place."""

    title: str
    note: str
    percent: bool
    origin: float | None
    rows: list[Row]


def forest(plot: Plot) -> str:
    """A forest plot: one row an interval."""
    values = [value for row in plot.rows for value in (row.low, row.high, row.line)] + ([plot.origin] if plot.origin is not None else [])
    marks = ticks(min(values), max(values))
    bottom = _TOP + _ROW * len(plot.rows)

    def x(value: float) -> float:
        return round(_LEFT + (value - marks[0]) / (marks[-1] - marks[0]) * (_RIGHT - _LEFT), 1)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {bottom + 24}" role="img" aria-label="{escape(plot.title)}">']
    for mark in marks:
        parts.append(f'<line class="grid" x1="{x(mark)}" x2="{x(mark)}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="soft" x="{x(mark)}" y="{bottom + 17}" text-anchor="middle">{_tick(mark, plot.percent)}</text>')
    if plot.origin is not None:
        parts.append(f'<line class="zero" x1="{x(plot.origin)}" x2="{x(plot.origin)}" y1="{_TOP - 6}" y2="{bottom}"/>')
    for place, row in enumerate(plot.rows):
        parts.append(_row(row, _TOP + _ROW * place + _ROW // 2, x, plot))
    return "".join([*parts, "</svg>"])


def balance(label: str, wins: int, ties: int, losses: int) -> str:
    """A bar of all items: those the candidate alone has right, those both or none have, those it alone has wrong."""
    total = max(1, wins + ties + losses)
    parts = [f'<svg viewBox="0 0 {_WIDTH} 58" role="img" aria-label="{escape(label)}"><text x="0" y="14">{escape(label)}</text>']
    left = 0.0
    for kind, count in (("win", wins), ("tie", ties), ("loss", losses)):
        wide = _WIDTH * count / total
        parts.append(f'<rect class="{kind}" x="{left:.1f}" y="22" width="{wide:.1f}" height="14"/>')
        left += wide
    words = f"{wins:,} better, {ties:,} alike, {losses:,} worse"
    return "".join([*parts, f'<text class="soft" x="0" y="53">{words}</text></svg>'])


def ticks(low: float, high: float) -> list[float]:
    """Four to nine round numbers that enclose both values, 1, 2 or 5 times a power of ten apart."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * place, 12) for place in range(first, max(last, first + 1) + 1)]


def _row(row: Row, y: int, x: Callable[[float], float], plot: Plot) -> str:
    estimate, low, high = (number(value, plot.percent, sign=plot.origin == 0) for value in (row.estimate, row.low, row.high))
    return (
        f'<text x="0" y="{y + 4}">{escape(row.label[:42])}</text>'
        f'<line class="mark" x1="{x(row.line)}" x2="{x(row.line)}" y1="{y - 14}" y2="{y + 14}"/>'
        f'<g class="{row.outcome}" stroke-width="3"><line x1="{x(row.low)}" x2="{x(row.high)}" y1="{y}" y2="{y}"/>'
        f'<circle cx="{x(row.estimate)}" cy="{y}" r="5" stroke="none"/></g>'
        f'<text x="{_RIGHT + 12}" y="{y + 4}">{estimate} ({low} to {high})</text>'
    )


def _tick(mark: float, percent: bool) -> str:
    return f"{mark * 100:g}" if percent else f"{mark:g}"
