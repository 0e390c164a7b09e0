"""Durations, ratios, sizes and names of a config file, as types for a model; a time as it is written."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from healthd.runtime.web_address import ShownMasked, require_http
from healthd.wording import shape

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 365_000 * 86400.0  # a time so far from now is still one
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?")
_BYTES = {
    None: 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_WEB_ADDRESS = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)


def parse_duration(value: Any) -> Any:
    """Convert `30s`, `1h30m`, `250ms` to seconds. A number without a unit is refused, except a float of Python code."""
    if isinstance(value, str):
        parts = list(_DURATION.finditer(value.strip()))
        if parts and "".join(part[0] for part in parts) == value.strip():
            seconds = sum(float(part["number"]) * _SECONDS[part["unit"]] for part in parts)
            if seconds > _LONGEST:
                raise ValueError(f"{value!r} is longer than a thousand years: write at most 365000d")
            return seconds
        if value.strip().startswith("-") and _DURATION.match(value.strip()[1:]):
            raise ValueError(f"{value!r} is negative: a duration is positive, such as {value.strip()[1:]}")
    elif type(value) is float:  # a number of a YAML text has a type of its own
        return value
    raise ValueError(f"{value!r} is not a duration: write a number with its unit, such as 30s, 5m, 1h30m or 250ms")


def representable(moment: datetime) -> datetime:
    """Return a time that can be told in UTC. Raises ValueError."""
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range: times are within the years 1 to 9999, in UTC") from None
    return moment


def parse_ratio(value: Any) -> Any:
    """Convert `5%` to 0.05. A number without the sign could be meant as either and is refused, except 0, and a float of
    Python code, which is a fraction."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d+(\.\d+)?\s*%\s*", value):
        ratio = float(value.strip().rstrip("%")) / 100
        if ratio > 1:
            raise ValueError(f"{value!r} is more than 100%")
        return ratio
    if type(value) is float or (value == 0 and not isinstance(value, bool)):  # one of a YAML text has its own type
        return float(value)
    raise ValueError(f"{value!r} is not a percentage: write it with its sign, such as {_with_sign(str(value))}")


def _with_sign(number: str) -> str:
    """Return the percentage that was probably meant, or both that a fraction can mean."""
    if not re.fullmatch(r"\d{1,3}(\.\d+)?", number) or float(number) > 100:
        return "90%"
    share = Decimal(number)
    return f"{number}% or {format((share * 100).normalize(), 'f')}%" if 0 < share < 1 else f"{number}%"


def parse_size(value: Any) -> Any:
    """Convert `512MiB` to bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return int(float(match["number"]) * _BYTES[match["unit"]])
    raise ValueError(f"{value!r} is not a size: write it in bytes or with a unit, such as 512MiB")


def show_duration(seconds: float) -> str:
    """Convert seconds to the shortest notation: 90 → `1m30s`, 0.25 → `250ms`."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    text = ""
    for unit in ("d", "h", "m"):
        count, seconds = divmod(seconds, _SECONDS[unit])
        text += f"{count:g}{unit}" if count else ""
    return text + (f"{seconds:g}s" if seconds or not text else "")


def show_ratio(ratio: float) -> str:
    """Convert 0.05 to `5%`."""
    return f"{ratio * 100:g}%"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(show_duration, when_used="json"),
    Field(gt=0, allow_inf_nan=False),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$|^\$\{", "examples": ["30s"]}),
]
Span = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(ge=0, allow_inf_nan=False),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$|^\$\{", "examples": ["0s", "30s"]}),
]
"""Duration that may be zero."""
Ratio = Annotated[
    float,
    BeforeValidator(parse_ratio),
    PlainSerializer(show_ratio, when_used="json"),
    Field(ge=0, le=1),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?%$|^\$\{", "examples": ["90%"]}),
]


def is_web_address(text: str) -> bool:
    """Return whether a text is the whole address of a page: any other scheme could run something where it is a link."""
    return _WEB_ADDRESS.fullmatch(text) is not None


def _none_if_empty(raw: Any) -> Any:
    return None if isinstance(raw, str) and not raw.strip() else raw


HttpAddress = Annotated[
    str,
    Field(pattern=shape(r"^https?://[^\s/?#]+", "an address that begins with http:// or https://")),
    AfterValidator(require_http),
    ShownMasked(),
]
"""Address whose user, keys and secret parts of the path are shown as `***`."""
LinkForPeople = Annotated[str | None, BeforeValidator(_none_if_empty)]
"""The place where people find something: mostly the address of a page. None where it is empty."""
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(ge=0),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["512MiB"]}),
]


Time = Annotated[AwareDatetime, AfterValidator(representable)]
"""Time with its zone."""


def _several(raw: Any) -> Any:
    return (raw,) if isinstance(raw, str) else raw


Names = Annotated[tuple[str, ...], BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...])]
"""One name or several."""


def stamp(moment: datetime) -> str:
    """Return a time as ISO 8601 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
