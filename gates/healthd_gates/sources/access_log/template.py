"""NGINX's `log_format` → a pattern that reads its lines. It never backtracks, however long a line is."""

from __future__ import annotations

import re

_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))")
# Several servers are separated by ", ", and by " : " after an internal redirect.
_LIST = r"[^\s,]++(?:(?:, | : )[^\s,]++)*+"
_SHAPES = {
    "status": r"\d{3}",
    "request_time": r"[\d.]++|-",
    "msec": r"[\d.]++",
    "upstream_addr": _LIST,
    "upstream_status": _LIST,
    "upstream_response_time": _LIST,
    "upstream_connect_time": _LIST,
    "upstream_header_time": _LIST,
    "upstream_cache_status": r"[A-Z-]++",
}
_EMPTY_TOO = {"upstream_addr", "upstream_status", "upstream_response_time"}


def variables(log_format: str) -> list[str]:
    """Return the variables of a `log_format`, in order."""
    return [found["braced"] or found["plain"] for found in _VARIABLE.finditer(log_format)]


def compile_log_format(log_format: str) -> re.Pattern[str]:
    """Return the pattern of a `log_format`, with a named group for each variable. Raises ValueError."""
    names = variables(log_format)
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"has ${min(twice)} twice")
    pieces, last = [r"\A"], 0
    found = list(_VARIABLE.finditer(log_format))
    for place, variable in enumerate(found):
        pieces.append(re.escape(log_format[last : variable.start()]))
        name, last = names[place], variable.end()
        follows = log_format[last : found[place + 1].start()] if place + 1 < len(found) else log_format[last:]
        if not follows and place + 1 < len(found):
            raise ValueError(f"has nothing between ${name} and ${names[place + 1]}, so that they cannot be told apart")
        pieces.append(f"(?P<{name}>{_shape(name, follows)})")
    pieces.append(re.escape(log_format[last:]) + r"\Z")
    return re.compile("".join(pieces))


def _shape(name: str, follows: str) -> str:
    """Return what a variable looks like: up to the character that follows it, which NGINX escapes within quotes."""
    if name in _SHAPES:
        return f"{_SHAPES[name]}|" if name in _EMPTY_TOO else _SHAPES[name]
    return f"[^{re.escape(follows[0])}]*+" if follows else r".*+"


def fits_up_to(log_format: str, line: str) -> str | None:
    """Return the first variable at which a line no longer fits; None if it fits as a whole or not at all."""
    found = list(_VARIABLE.finditer(log_format))
    for place in range(1, len(found) + 1):
        end = found[place].start() if place < len(found) else len(log_format)
        if not re.match(compile_log_format(log_format[:end]).pattern.removesuffix(r"\Z"), line):
            return variables(log_format)[place - 1]
    return None
