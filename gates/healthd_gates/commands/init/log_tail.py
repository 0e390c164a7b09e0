"""Tries a log: its newest lines, and the format that they fit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from healthd_gates.sources.access_log.config import Role
from healthd_gates.sources.access_log.formats import ADDRESSES, FORMATS, format_of

_TAIL = 64 * 1024
_LINES = 200
_FIT = 0.9
_ONE_SERVER = re.compile(r"[^\s,/]+:\d+")


@dataclass(frozen=True, slots=True)
class Tried:
    """A log whose lines a format reads. `by_server` is True if they name the server that answered; `servers` are the
    addresses that they name."""

    file: Path
    format: str
    lines: int
    by_server: bool
    has_latency: bool
    servers: tuple[str, ...] = ()


def newest_lines(file: Path) -> list[str]:
    """Return the last lines of a log. Raises OSError."""
    with file.open("rb") as log:
        start = max(0, log.seek(0, 2) - _TAIL)
        log.seek(start)
        lines = log.read(_TAIL).decode("utf-8", "replace").split("\n")
    whole = lines[1 if start else 0 : -1]  # the first may be cut, the last not yet written
    return whole[-_LINES:]


def tried(file: Path, lines: Sequence[str], formats: Sequence[str] = ()) -> Tried:
    """Return the format that the lines fit: one of those given, else the one that finds most in them of those that
    healthd knows by name. Raises ValueError."""
    if not lines:
        raise ValueError(f"{file} has no line yet: send a request through the proxy, then run this again")
    fitting, reasons = list[tuple[int, Tried]](), list[str]()
    for name in formats or FORMATS:
        try:
            form = format_of(name)
        except ValueError as error:
            reasons.append(f"{file}: the log_format {error}")
            continue
        roles = form.roles
        read = [fields for line in lines if (fields := form.parse(line)) is not None]
        if sum(form.get(roles.status)(fields)[:3].isdigit() for fields in read) < _FIT * len(lines):
            continue
        filled = {
            role
            for role in get_args(Role)
            if (key := getattr(roles, role)) is not None and any(form.get(key)(fields) for fields in read)
        }
        key = roles.arms if roles.arms in ADDRESSES else None
        servers = {form.get(key)(fields) for fields in read} if key else set()
        by_server = roles.arms is not None and any(form.get(roles.arms)(fields) for fields in read)
        timed = bool({"duration", "upstream_duration"} & filled)
        known = tuple(sorted(each for each in servers if _ONE_SERVER.fullmatch(each)))
        fitting.append((len(filled), Tried(file, name, len(lines), by_server, timed, known)))
    if not fitting:
        raise ValueError(reasons[0] if reasons else f"{file}: its newest lines fit {_unfit(formats)}")
    return max(fitting, key=lambda each: each[0])[1]


def _unfit(formats: Sequence[str]) -> str:
    return "not the log_format that NGINX's configuration has" if formats else "no format that healthd knows by name"
