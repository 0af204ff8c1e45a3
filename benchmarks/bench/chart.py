"""A bar chart as SVG, written by hand: deliveries a second, and what each costs."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_COLOURS = {
    "service": "#2f6fde",
    "postgres": "#1b998b",
    "receiver": "#b8b8b8",
    "generator": "#dadada",
}
_WIDTH, _LEFT, _BAR, _ROW, _TOP = 860, 110, 560, 30, 64  # pixels
_NAMESPACE = "http://www.w3.org/2000/svg"
_STYLE = "font-family:system-ui,sans-serif;font-size:13px;fill:#222"


def svg(document: Mapping[str, Any]) -> str:
    """Draw the scenarios of a result."""
    scenarios: Mapping[str, Any] = document["scenarios"]
    rates = [(name, float(each["delivered_per_s"])) for name, each in scenarios.items()]
    costs = [(name, each["cpu_us_per_delivery"]) for name, each in scenarios.items()]
    second = _TOP + _ROW * len(rates) + 56
    height = second + _ROW * len(costs) + 44
    machine = document["machine"]
    parts = [
        f'<svg xmlns="{_NAMESPACE}" viewBox="0 0 {_WIDTH} {height}" style="{_STYLE}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        _text(16, 28, f"hookline bench · {machine['processors']} × {machine['processor']}", bold=1),
        _text(16, _TOP - 12, "deliveries a second"),
        *_rates(rates, _TOP),
        _text(16, second - 12, "processor microseconds for one delivery"),
        *_legend(second - 22),
        *_costs(costs, second),
        _text(16, height - 14, f"{machine['at']} · {machine['layout']}", colour="#777"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _rates(rates: Sequence[tuple[str, float]], top: int) -> list[str]:
    most = max((rate for _, rate in rates), default=0) or 1
    parts = []
    for row, (name, rate) in enumerate(rates):
        y, width = top + row * _ROW, rate / most * _BAR
        parts += [_text(16, y + 15, name), _bar(_LEFT, y, width, _COLOURS["service"])]
        parts.append(_text(_LEFT + width + 8, y + 15, f"{rate:,.0f}"))
    return parts


def _costs(costs: Sequence[tuple[str, Mapping[str, float]]], top: int) -> list[str]:
    most = max((cost["total"] for _, cost in costs), default=0) or 1
    parts = []
    for row, (name, cost) in enumerate(costs):
        y, x = top + row * _ROW, float(_LEFT)
        parts.append(_text(16, y + 15, name))
        for role, colour in _COLOURS.items():
            width = cost[role] / most * _BAR
            parts.append(_bar(x, y, width, colour))
            x += width
        parts.append(_text(x + 8, y + 15, f"{cost['total']:,.0f}"))
    return parts


def _legend(y: int) -> list[str]:
    parts = []
    for column, (role, colour) in enumerate(_COLOURS.items()):
        x = 360 + column * 110
        parts += [_bar(x, y, 12, colour, height=12), _text(x + 18, y + 11, role)]
    return parts


def _bar(x: float, y: int, width: float, colour: str, *, height: int = 20) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def _text(x: float, y: int, text: str, *, bold: int = 0, colour: str = "#222") -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y}" fill="{colour}"{weight}>{escape(text)}</text>'
