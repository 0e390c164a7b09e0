"""The lines of Apache, HAProxy and an AWS load balancer as patterns, which never backtrack."""

from __future__ import annotations

import re
from typing import Any

# Quoted parts: Apache and AWS escape a quote within them, by a backslash and by %22.
_QUOTED = r'"(?P<{}>(?:[^"\\]++|\\.)*+)"'
APACHE = re.compile(
    r"\A(?:(?P<vhost>[^\s:]++(?::\d+)?) )?(?P<host>\S++) \S++ (?P<user>\S++|\"[^\"]*\") \[(?P<time>[^\]]++)\] "
    + _QUOTED.format("request")
    + r" (?P<status>\d{3}) (?:\d++|-) "
    + _QUOTED.format("referer")
    + " "
    + _QUOTED.format("agent")
    + r"(?: (?P<duration_us>\d++))?\Z"
)
"""The combined format, with `%v` or `%v:%p` before it or not, and `%D` after it or not."""
ALB = re.compile(
    r"\A(?P<type>\S++) (?P<time>\S++) (?P<elb>\S++) (?P<client>\S++) (?P<target>\S++) "
    r"(?P<request_processing_time>\S++) (?P<target_processing_time>\S++) (?P<response_processing_time>\S++) "
    r"(?P<elb_status_code>\d{3}|-) (?P<target_status_code>\S++) \S++ \S++ "
    + _QUOTED.format("request")
    + " "
    + _QUOTED.format("user_agent")
    + r" \S++ \S++ (?P<target_group_arn>\S++) \"(?P<trace_id>[^\"]*+)\" \"(?P<domain_name>[^\"]*+)\""
)
_HAPROXY = re.compile(
    r"(?:\A|: )(?P<client>[^\s\[]++) \[(?P<time>[^\]]++)\] (?P<frontend>\S++) (?P<backend>[^\s/]++)/(?P<server>\S++) "
    r"(?P<TR>-?\d++)/(?P<Tw>-?\d++)/(?P<Tc>-?\d++)/(?P<Tr>-?\d++)/\+?(?P<Ta>-?\d++) (?P<status>-?\d++) "
    r"\+?\d++ \S++ \S++ (?P<termination_state>\S{4}) \d++/\d++/\d++/\d++/(?P<retries>\+?\d++) \d++/\d++ "
    r"(?:\{(?P<request_headers>[^}]*+)\} )?(?:\{(?P<response_headers>[^}]*+)\} )?\"(?P<request>[^\"]*+)\"?"
)
_CAPTURES = ("request_headers", "response_headers")
HAPROXY_FIELDS = (
    *_HAPROXY.groupindex,
    "backend_server",
    *(f"{kind}.{number}" for kind in _CAPTURES for number in range(1, 10)),
)


def parse_haproxy(line: str) -> dict[str, Any] | None:
    """Parse a line of `option httplog`, also with what syslog puts before it; None if it is none. Captured headers are
    numbered from 1, as in `response_headers.1`."""
    found = _HAPROXY.search(line)
    if found is None:
        return None
    fields = found.groupdict()
    fields["backend_server"] = f"{fields['backend']}/{fields['server']}"
    for name in _CAPTURES:
        for number, value in enumerate((fields[name] or "").split("|"), 1):
            fields[f"{name}.{number}"] = value
    return fields
