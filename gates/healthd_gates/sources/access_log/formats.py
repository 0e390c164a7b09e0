"""The formats of access logs by name, a `log_format` of NGINX, and a pattern of the user's."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

from healthd_gates.sources.access_log.format import Fields, Format, Parse, Roles
from healthd_gates.sources.access_log.line_patterns import ALB, APACHE, HAPROXY_FIELDS, parse_haproxy
from healthd_gates.sources.access_log.template import compile_log_format, variables

_NGINX = Roles(
    status="status",
    duration="request_time",
    upstream="upstream_addr",
    upstream_status="upstream_status",
    upstream_duration="upstream_response_time",
    agent="http_user_agent",
    request="request",
    method="request_method",
    time="time_local",
    arms="upstream_addr",
)
COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
)
_TIMES, _REQUESTS = ("time_local", "time_iso8601", "msec"), ("request", "request_uri", "uri")


def _regular(pattern: re.Pattern[str]) -> Parse:
    match = pattern.match

    def parse(line: str) -> Fields | None:
        found = match(line)
        return None if found is None else found.groupdict()

    return parse


def parse_json(line: str) -> Fields | None:
    """Parse one JSON object. A proxy that escapes as in other formats (`\\x22`) writes what is no JSON; that is
    mended."""
    try:
        found = json.loads(line)
    except ValueError:
        if "\\x" not in line:
            return None
        try:
            found = json.loads(line.replace("\\x", "\\u00"))
        except ValueError:
            return None
    except RecursionError:
        return None
    return found if isinstance(found, dict) else None


def _of_log_format(name: str, text: str) -> Format:
    there = variables(text)
    optional = ("duration", "upstream", "upstream_status", "upstream_duration", "agent", "method", "arms")
    found: dict[str, Any] = {role: it if (it := getattr(_NGINX, role)) in there else None for role in optional}
    roles = replace(
        _NGINX,
        **found,
        request=next((field for field in _REQUESTS if field in there), None),
        time=next((field for field in _TIMES if field in there), None),
    )
    return Format(name, _regular(compile_log_format(text)), roles, tuple(there), text)


FORMATS: dict[str, Format] = {
    "nginx_combined": _of_log_format("nginx_combined", COMBINED),
    "nginx_json": Format("nginx_json", parse_json, replace(_NGINX, request="request_uri", time="time_iso8601"), None),
    "apache_combined": Format(
        "apache_combined",
        _regular(APACHE),
        Roles("status", "duration_us", 1e6, agent="agent", request="request", time="time"),
        tuple(APACHE.groupindex),
    ),
    "haproxy_http": Format(
        "haproxy_http",
        parse_haproxy,
        Roles("status", "Ta", 1e3, request="request", time="time", arms="server"),
        HAPROXY_FIELDS,
    ),
    "caddy_json": Format(
        "caddy_json",
        parse_json,
        Roles(
            "status",
            "duration",
            agent="request.headers.User-Agent",
            request="request.uri",
            method="request.method",
            time="ts",
        ),
        None,
    ),
    "traefik_json": Format(
        "traefik_json",
        parse_json,
        Roles(
            "DownstreamStatus",
            "Duration",
            1e9,
            agent="request_User-Agent",
            request="RequestPath",
            method="RequestMethod",
            time="StartUTC",
            arms="ServiceAddr",
        ),
        None,
    ),
    "alb": Format(
        "alb",
        _regular(ALB),
        Roles(
            "elb_status_code",
            "target_processing_time",
            agent="user_agent",
            request="request",
            time="time",
            arms="target",
        ),
        tuple(ALB.groupindex),
    ),
}
ADDRESSES = {"upstream_addr", "ServiceAddr", "target"}
"""Fields that have the address of a server: arms are told apart by those of their targets."""


@lru_cache(maxsize=256)
def format_of(text: str) -> Format:
    """Return a format by its name, or one of NGINX by its `log_format`. Raises ValueError."""
    if (known := FORMATS.get(text)) is not None:
        return known
    if "$" not in text:
        raise ValueError(f"{text!r} is no format")
    if "status" not in variables(text):
        raise ValueError("has no $status")
    if text.lstrip().startswith("{"):
        return _json_of_log_format(text)
    return _of_log_format("log_format", text)


_JSON_FIELD = re.compile(r"\"(?P<key>[^\"]+)\"\s*:\s*\"?\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))")


def _json_of_log_format(text: str) -> Format:
    """Return the format of a `log_format` that is JSON: its keys, by the variables that stand in them."""
    keys = {found["braced"] or found["plain"]: found["key"] for found in _JSON_FIELD.finditer(text)}
    roles = Roles(
        status=keys["status"],
        duration=keys.get("request_time"),
        upstream=keys.get("upstream_addr"),
        upstream_status=keys.get("upstream_status"),
        upstream_duration=keys.get("upstream_response_time"),
        agent=keys.get("http_user_agent"),
        request=next((keys[name] for name in _REQUESTS if name in keys), None),
        method=keys.get("request_method"),
        time=next((keys[name] for name in _TIMES if name in keys), None),
        arms=keys.get("upstream_addr"),
    )
    return Format("log_format", parse_json, roles, None, text)


@lru_cache(maxsize=256)
def pattern_format(pattern: str) -> Format:
    """Return the format of a regular expression with named groups. Each search is bounded in time."""
    import regex  # loaded for the first pattern: it takes 8 MB

    compiled = regex.compile(pattern)

    def parse(line: str) -> Fields | None:
        try:
            found = compiled.search(line, timeout=_SECONDS_A_LINE)
        except TimeoutError:
            return None
        return None if found is None else found.groupdict()

    groups = tuple(compiled.groupindex)
    found: dict[str, Any] = {role: role for role in _PATTERN_ROLES if role in groups}
    roles = replace(Roles("status"), **found)
    return Format("pattern", parse, roles, groups)


_SECONDS_A_LINE = 0.05
_PATTERN_ROLES = (
    *("status", "duration", "upstream", "upstream_status", "upstream_duration", "agent", "request", "method", "time"),
)
