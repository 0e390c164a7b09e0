"""Parameters of libpq that take one of few values, or a whole number. libpq refuses any other before it connects."""

from __future__ import annotations

import re

_PREFER = ("disable", "prefer", "require")
_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_FIXED = {
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _VERSIONS,
    "ssl_max_protocol_version": _VERSIONS,
    "gsslib": ("gssapi", "sspi"),
    "channel_binding": _PREFER,
    "gssencmode": _PREFER,
    "sslcertmode": ("disable", "allow", "require"),
    "load_balance_hosts": ("disable", "random"),
    "sslsni": ("0", "1"),
    "sslcompression": ("0", "1"),
    "keepalives": ("0", "1"),
}
_ANY_CASE = ("ssl_min_protocol_version", "ssl_max_protocol_version")
_NUMBERS = ("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")


def checked_value(name: str, value: str) -> str:
    """Return the value as the drivers write it. Raises ValueError, which never shows it."""
    if not value:
        return value
    if name in _NUMBERS and not re.fullmatch(r"\s*[+-]?\d{1,9}\s*", value, re.ASCII):
        unit = {"keepalives_count": "a whole number", "tcp_user_timeout": "whole milliseconds"}.get(name)
        raise ValueError(f"has a value of {name} that is no number: write {unit or 'whole seconds'}")
    if name not in _FIXED:
        return value
    known = {word.lower(): word for word in _FIXED[name]}
    found = known.get(value.lower()) if name in _ANY_CASE else value
    if found not in _FIXED[name]:
        raise ValueError(f"has an unknown value of {name}: write one of {', '.join(_FIXED[name])}")
    return found
