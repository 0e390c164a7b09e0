"""Output of a Nagios plug-in: its text, and its performance data as numbers with units. Pure.

By the Monitoring Plugins Development Guidelines, section "Plugin Output": `TEXT | 'label'=value[UOM];warn;crit;min;max`
and further lines of text, of which one may begin more performance data with another `|`. KB are 1024 bytes.
"""

from __future__ import annotations

import math
import re

from healthd.model import Measure

_DATUM = re.compile(r"\s*(?:'((?:[^']|'')+)'|([^\s='|]+))=(-?[0-9.,]+|U)([A-Za-zµ%/]*)(?:;\S*)?(?=\s|$)")
_MOST = 64  # data of one plug-in
_LONGEST_NAME = 64
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_BYTES = {"B": 1.0, "KB": 1024.0, "MB": 1024.0**2, "GB": 1024.0**3, "TB": 1024.0**4}
_BASE = {
    **{unit: ("s", size) for unit, size in _SECONDS.items()},
    **{unit: ("B", size) for unit, size in _BYTES.items()},
}
"""Units of the guidelines, and what they are in base units."""


def performance_data(output: str) -> tuple[str, tuple[Measure, ...]]:
    """Return the first line of the text, and what was measured. Data that break the rules are left out."""
    first, _, rest = output.partition("\n")
    text, _, data = first.partition("|")
    _, _, more = rest.partition("|")
    found: dict[str, Measure] = {}
    for line in (data, more.replace("\n", " ")):
        for match in _DATUM.finditer(line):
            name, value = _name(match), _number(match[3])
            if value is not None and len(found) < _MOST and name not in found:
                unit, factor = _BASE.get(match[4], (match[4], 1.0))
                found[name] = Measure(name, value * factor, unit)
    return text.strip(), tuple(found.values())


def _name(match: re.Match[str]) -> str:
    quoted: str | None = match[1]
    return (quoted.replace("''", "'") if quoted is not None else match[2])[:_LONGEST_NAME]


def _number(text: str) -> float | None:
    """Return a number, with a point or a comma; None for `U`, which is a value that could not be found."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
