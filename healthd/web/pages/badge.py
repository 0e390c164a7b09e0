"""Badges: a name and a word about it as a small SVG image, for a README or a wiki."""

from __future__ import annotations

from html import escape

from healthd.model import Status
from healthd.monitoring.state import CheckState

_COLORS = {
    Status.HEALTHY: "#2e7d32",
    Status.DEGRADED: "#9a5b00",
    Status.UNHEALTHY: "#c62828",
    Status.UNKNOWN: "#616161",
}
_LETTER, _MARGIN = 6.6, 6  # pixels of one letter, and on both sides of a text
_LONGEST = 60  # letters
_GOOD, _FAIR = 0.999, 0.99
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{label}: {word}">
<title>{label}: {word}</title>
<rect width="{left}" height="20" fill="#424242"/><rect x="{left}" width="{right}" height="20" fill="{color}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{left_middle}" y="14" textLength="{left_text}">{label}</text>
<text x="{right_middle}" y="14" textLength="{right_text}">{word}</text>
</g>
</svg>
"""


def status_badge(state: CheckState) -> str:
    """Return the badge of a check's status now. One that does not count now is grey, and says why."""
    if state.maintenance is not None:
        word = "in maintenance" if state.covered("maintenance") is not None else "paused"
        return _drawn(state.name, word, Status.UNKNOWN)
    return _drawn(state.name, state.counted.value, state.counted)


def uptime_badge(name: str, period: str, percent: str, ratio: float | None) -> str:
    """Return the badge of the uptime in a period that ends now."""
    if ratio is None:
        return _drawn(f"{name} {period}", percent, Status.UNKNOWN)
    status = Status.HEALTHY if ratio >= _GOOD else Status.DEGRADED if ratio >= _FAIR else Status.UNHEALTHY
    return _drawn(f"{name} {period}", percent, status)


def _drawn(label: str, word: str, status: Status) -> str:
    label = label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"
    texts = [round(_LETTER * len(text)) for text in (label, word)]
    left, right = (text + 2 * _MARGIN for text in texts)
    return _SVG.format(
        width=left + right,
        left=left,
        right=right,
        color=_COLORS[status],
        left_middle=left / 2,
        right_middle=left + right / 2,
        left_text=texts[0],
        right_text=texts[1],
        label=escape(label),
        word=escape(word),
    )
